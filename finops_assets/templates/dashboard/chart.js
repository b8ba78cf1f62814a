// ---- chart

function ticks(low, high) {
  const rough = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find(factor => factor * power >= rough) * power;
  const found = [];
  for (let n = Math.floor(low / step + 1e-9); ; n++) {
    found.push(n * step);
    if (n * step >= high) return found;
  }
}
function dayTicks(from, to, width) {
  const rules = [
    [() => true, 54], [day => dateOf(day).getUTCDay() === 1, 54], [day => dateOf(day).getUTCDate() === 1, 66],
    [day => dateOf(day).getUTCDate() === 1 && dateOf(day).getUTCMonth() % 3 === 0, 66],
    [day => dateOf(day).getUTCDate() === 1 && dateOf(day).getUTCMonth() === 0, 66],
  ];
  const days = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  for (const [rule, room] of rules) {
    const found = days.filter(rule);
    if (found.length * room <= width) return found.length ? found : [from];
  }
  return [from];
}
const hatch = id => draw('defs', null, draw('pattern',
  { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
  draw('line', { class: 'hatch', x1: 0, y1: 0, x2: 0, y2: 6 })));
const diamond = (x, y) => draw('path', { class: 'mark', d: `M${x} ${y - 4}l4 4-4 4-4-4z` });

const triangle = (x, y, up) => up ? `M${x - 4} ${y + 3}h8l-4-7z` : `M${x - 4} ${y - 4}h8l-4 7z`;
const rises = episode => !['drop', 'vanished'].includes(episode.kind);
const isMarked = episode => episode.state !== 'withdrawn';
// An empty plot of days: axes, and what is known of the days beside their cost. Days after `known` are yet to come.
function frame(holder, { from, to, known = to }, low, high, episodes) {
  const width = Math.max(280, holder.clientWidth || 1100), height = width < 560 ? 230 : 300;
  const marked = episodes.filter(isMarked);
  const left = 50, right = 6, top = marked.length ? 32 : 22, bottom = height - 36;
  const days = to - from + 1, slot = (width - left - right) / days;
  const lines = ticks(low / 1e6, high / 1e6 || 1);
  const bottomValue = lines[0] * 1e6, topValue = lines.at(-1) * 1e6;
  const x = day => left + (day - from) * slot;
  const y = micros => bottom - (micros - bottomValue) / (topValue - bottomValue) * (bottom - top);
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' }, hatch(`missing-${holder.id}`));
  const years = [...new Set([from, to].map(day => isoOf(day).slice(0, 4)))].join('\u2013');
  svg.append(draw('text', { x: 0, y: 10 }, years === `${thisYear}` ? unit : `${unit}, ${years}`));
  for (const line of lines) {
    const at = Math.round(y(line * 1e6)) + .5;
    svg.append(draw('line', { class: line === 0 ? 'axis' : 'grid', x1: left, x2: width - right, y1: at, y2: at }),
      draw('text', { x: left - 8, y: at + 4, 'text-anchor': 'end' }, short.format(line)));
  }
  const cursor = draw('rect', { class: 'cursor', y: top, height: bottom - top + 12, width: Math.max(slot, 2) });
  svg.append(cursor);
  for (const day of dayTicks(from, to, width - left - right)) {
    const middle = x(day) + slot / 2, text = dayText(day, days > 120 ? { day: undefined, year: '2-digit' } : {});
    const edge = width - right - 24 < middle ? 'end' : 'middle';
    svg.append(draw('text', { x: edge === 'end' ? width - right : middle, y: height - 4, 'text-anchor': edge }, text));
  }
  for (let day = Math.max(0, from); day <= Math.min(to, known); day++) {
    if (!have.has(day)) {
      const fill = `url(#missing-${holder.id})`;
      svg.append(draw('rect', { x: x(day), y: top, width: slot, height: bottom - top, fill }));
    }
    if (isUnusual(day)) svg.append(diamond(x(day) + slot / 2, bottom + 7));
  }
  const span = (rule, kind, at) => {
    let open = null;
    for (let day = from; day <= to + 1; day++) {
      if (day <= to && rule(day)) open = open ?? day;
      else if (open !== null) {
        svg.append(draw('line', { class: kind, x1: x(open) + 1, x2: x(day) - 1, y1: at, y2: at }));
        open = null;
      }
    }
  };
  span(isProvisional, 'open', bottom + 14);
  span(isRestated, 'restated', bottom + 18);
  for (const episode of marked) {
    const [start, end] = [episode.from, episode.to].map(day => Math.min(to, Math.max(from, day)));
    if (episode.to < from || episode.from > to) continue;
    const kind = `anomaly ${episode.state}`, middle = x(start) + Math.max(slot / 2, 4);
    svg.append(draw('rect', { class: kind, x: x(start), y: top - 9, width: x(end + 1) - x(start), height: 2 }),
      draw('path', { class: kind, d: triangle(middle, top - 15, rises(episode)) }));
  }
  const moveCursor = day => cursor.setAttribute('x', slot < 2 ? x(day) + slot / 2 - 1 : x(day));
  function dayAt(event) {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * width / box.width;
    return Math.min(to, Math.max(from, from + Math.floor((at - left) / slot)));
  }
  return { svg, x, y, slot, width, left, right, top, bottom, from, to, moveCursor, dayAt };
}

// layers: [{ tone, series, href }], from the bottom up; one layer drawn as a line unless stacked.
let chart = null;
function drawChart(layers, { from, to }, stacked, episodes) {
  const days = to - from + 1;
  let low = 0, high = 0;
  for (let day = from; day <= to; day++) {
    let up = 0, down = 0;
    for (const { series } of layers) series[day] > 0 ? up += series[day] : down += series[day];
    low = Math.min(low, down);
    high = Math.max(high, up);
  }
  const plot = frame(byId('chart'), { from, to }, low, high, episodes), { svg, x, y, slot } = plot;
  // Bars where they are wide enough to stand apart; else each layer is one outline, as hairlines would shimmer.
  const gap = slot >= 7 ? slot * .2 : slot >= 4 ? 1 : 0;
  const px = number => number.toFixed(1), base = { up: new Float64Array(days), down: new Float64Array(days) };
  const outline = run => `M${px(x(run[0].day) + gap / 2)} ${px(y(run[0].start))}` +
    run.map(cell => `V${px(y(cell.end))}H${px(x(cell.day + 1) - gap / 2)}`).join('') +
    run.toReversed().map(cell => `V${px(y(cell.start))}H${px(x(cell.day) + gap / 2)}`).join('') + 'z';
  function stackedPath({ series }) {
    const runs = [];
    for (let day = from; day <= to; day++) {
      if (!have.has(day)) continue;
      const side = series[day] < 0 ? 'down' : 'up', start = base[side][day - from];
      const cell = { day, side, start, end: base[side][day - from] += series[day] }, before = runs.at(-1)?.at(-1);
      if (!gap && before?.day === day - 1 && before.side === side) runs.at(-1).push(cell);
      else runs.push([cell]);
    }
    return runs.map(outline).join('');
  }
  function linePaths({ series }) {
    let line = '', area = '', inLine = false;
    const ground = px(y(0));
    for (let day = from; day <= to; day++) {
      const middle = px(x(day) + slot / 2), at = px(y(series[day]));
      if (have.has(day)) {
        line += inLine ? `L${middle} ${at}` : `M${middle} ${at}h0`;
        area += inLine ? `L${middle} ${at}` : `M${middle} ${ground}V${at}`;
        if (!have.has(day + 1) || day === to) area += `V${ground}z`;
      }
      inLine = have.has(day);
    }
    return [line, area];
  }
  for (const layer of layers) {
    if (stacked) {
      const kind = `layer ${layer.tone}${gap > 1 ? ' apart' : ''}${layer.href ? ' drill' : ''}`;
      layer.mark = draw('path', { class: kind, d: stackedPath(layer) });
      layer.mark.addEventListener('click', event => {
        if (layer.href && event.pointerType !== 'touch') location.hash = layer.href; // a finger only reads the day
      });
      svg.append(layer.mark);
    } else {
      const [line, area] = linePaths(layer);
      svg.append(draw('path', { class: `area ${layer.tone}`, d: area }),
        draw('path', { class: `stroke ${layer.tone}`, d: line }));
    }
  }
  byId('chart').replaceChildren(svg);
  chart = { ...plot, layers, stacked, episodes, rest: newestIn(from, to) };
}
function newestIn(from, to) {
  for (let day = to; day >= from; day--) if (have.has(day)) return day;
  return to;
}
function dayNotes(day, episodes) {
  const notes = have.has(day) ? []
    : [day < 0 ? 'Before the first day of this page' : 'No data: the day is not in the archive'];
  if (isScheduled(day)) notes.push(`Scheduled charges on the whole bill: ${money(scheduled[day])} ${unit}`);
  if (isProvisional(day)) notes.push('Provisional');
  const again = restated.get(day);
  if (again) notes.push(`Restated on the whole bill: ${again.old} → ${again.new} ${unit}`);
  const odd = episodes.filter(({ from, to }) => from <= day && day <= to);
  for (const { id, kind, state, impact } of odd.slice(0, TOLD)) {
    notes.push(`Anomaly ${id}: ${kind}, ${state}, ${impact} ${unit}`);
  }
  if (odd.length > TOLD) notes.push(`and ${odd.length - TOLD} more, listed below`);
  return notes;
}
function tell(holder, plot, day, words) {
  const slider = { min: plot.from, max: plot.to, now: day, text: [longDay(day), ...words].join('; ') };
  for (const [name, value] of Object.entries(slider)) holder.setAttribute(`aria-value${name}`, value);
}
function readDay(day) {
  chart.day = day;
  chart.moveCursor(day);
  const cost = chart.layers.reduce((all, { series }) => all + series[day], 0);
  const amount = make('span', null, make('strong', null, money(cost)), ' ', make('span', { class: 'unit' }, unit));
  const notes = dayNotes(day, chart.episodes);
  byId('readout').replaceChildren(make('strong', null, longDay(day)), ...(have.has(day) ? [amount] : []),
    ...notes.map(note => make('span', { class: 'muted' }, note)));
  const entry = ({ tone, name, series }) => make('li', null, swatch(tone),
    make('span', { class: 'name', title: name }, name), make('span', null, have.has(day) ? money(series[day]) : '–'));
  byId('legend').replaceChildren(...(chart.stacked ? chart.layers.map(entry) : []));
  tell(byId('chart'), chart, day, [...(have.has(day) ? [`${money(cost)} ${unit}`] : []), ...notes]);
}
// What the marks mean that are on a chart; `others` are of this chart alone.
function drawMarks(list, { from, to, known = to }, episodes, others = []) {
  const days = Array.from({ length: Math.min(to, known) - from + 1 }, (_, i) => from + i).filter(day => day >= 0);
  const line = kind => [draw('line', { class: kind, x1: 0, x2: 16, y1: 6, y2: 6 })];
  const key = `${list.id}-key`;
  const hatched = () => [hatch(key), draw('rect', { width: 16, height: 12, fill: `url(#${key})` })];
  const anomaly = () => [draw('path', { class: 'anomaly', d: triangle(8, 6, true) })];
  const odd = day => episodes.some(episode => isMarked(episode) && episode.from <= day && day <= episode.to);
  const entries = [
    [isUnusual, () => [diamond(8, 6)],
      'Scheduled charges (tax, fees, credits, refunds) unlike those of the days beside it'],
    [isProvisional, () => line('open'), 'Provisional: may still change'],
    [isRestated, () => line('restated'), 'Restated: changed since it was first archived'],
    [odd, anomaly, 'Anomaly: costs more (▲) or less (▼) than expected'],
    [day => !have.has(day), hatched, 'No data: day not in the archive'],
  ];
  const found = [...others, ...entries.filter(([rule]) => days.some(rule)).map(([, shape, text]) => [shape(), text])];
  list.replaceChildren(...found.map(([shape, text]) =>
    make('li', null, draw('svg', { width: 16, height: 12, 'aria-hidden': 'true' }, ...shape), text)));
}
const weekly = (from, to) => to - from >= 62;
function sparkline(series, { from, to }) {
  // Days, or for a long range the averages of its weeks: 120 pixels cannot show 365 working days and weekends.
  const width = 120, height = 24, step = weekly(from, to) ? 7 : 1, points = [];
  for (let end = to; end >= from; end -= step) {
    let all = 0, days = 0;
    for (let day = Math.max(from, end - step + 1); day <= end; day++) {
      if (have.has(day)) { all += series[day]; days += 1; }
    }
    points.unshift(days ? all / days : null);
  }
  const low = Math.min(0, ...points), high = Math.max(0, ...points);
  const path = points.map((value, i) => {
    if (value === null) return '';
    const x = points.length > 1 ? 2 + i / (points.length - 1) * (width - 4) : width / 2;
    const at = `${x.toFixed(1)} ${(height - 2 - (value - low) / (high - low || 1) * (height - 4)).toFixed(1)}`;
    return i && points[i - 1] !== null ? `L${at}` : `M${at}h0`;
  });
  return draw('svg', { width, height, 'aria-hidden': 'true' }, draw('path', { class: 'stroke', d: path.join('') }));
}

