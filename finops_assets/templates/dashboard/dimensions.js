
// ---- dimensions: a place's cost by the values of a tag, a cost category or an attribute of accounts

NOUNS.push('Value');
PLURALS.push('values');
const valueName = (at, code) => code < 0 ? `(days without ${dimensions[at].key})` : named(dimensions[at].values[code]);
// As `under`, by value (level 3), or of one value by OU. Days that do not have the dimension are a value of their own.
function byValue({ place, dimension, value }) {
  const { key, rows } = dimensions[dimension], group = groupsIn(place), children = new Map();
  const of = code => {
    if (!children.has(code)) children.set(code, new Float64Array(length));
    return children.get(code);
  };
  for (const [code, ou, ...amounts] of rows) {
    if (!group.has(ou) || (value >= 0 && code !== value)) continue;
    const series = of(value < 0 ? code : group.get(ou));
    amounts.forEach((micros, at) => { series[archived[at]] += micros; });
  }
  let total = under(place, 0).total;
  const unknown = archived.filter((_, at) => !dimensions[dimension].known[at]);
  if (value < 0) {
    for (const day of unknown) of(-1)[day] = total[day];
  } else {
    total = new Float64Array(length);
    for (const series of children.values()) series.forEach((micros, day) => { total[day] += micros; });
  }
  const span = unknown.length ? `${isoOf(unknown[0])} ${isoOf(unknown.at(-1))}` : '';
  return { level: value < 0 ? 3 : 0, total, children: [...children].map(([code, series]) => ({ code, series })),
    noun: value < 0 ? key : NOUNS[0],
    note: unknown.length
      ? `${count(unknown.length, 'day')} of this page without ${key}: finops backfill ${span}` : '' };
}
const valueLink = ({ dimension, value }, code) => value < 0 && code >= 0
  ? link({ value: dimensions[dimension].values[code], view: null }) : null;
function dimensionViews({ place, dimension, byDay }) {
  if (place.service >= 0) return [];
  return dimensions.map(({ key }, at) =>
    [`By ${key}`, link({ view: null, by: key, value: null }), !byDay && dimension === at]);
}
