// ---- month: budget against forecast, and the lights of the OUs

const word = text => text.slice(0, 1).toUpperCase() + text.slice(1);
const lightKind = light => ['green', 'amber', 'red'].includes(light) ? light : 'none';
const badge = light => make('span', { class: `light ${lightKind(light)}` },
  make('span', { 'aria-hidden': 'true' }, `${outlook.shapes[light]} `), word(light));
const scoreOf = new Map((outlook?.scores ?? []).map((score, at) => [score.ou, { ...score, at }]));
const unitOf = () => make('span', { class: 'unit' }, unit);
const dateText = iso =>
  dayText(dayNumber(iso) - first, withYear(dayNumber(iso) - first));
const monthText = day => dayText(day, { day: undefined, month: 'long', year: 'numeric' });

// An OU's month: its days, the cost up to each, and what was planned and expected of it; amounts as text and in 1e-6.
function monthOf(place, number) {
  const month = months[number], score = scoreOf.get(place.ou ?? outlook.all), newest = number === months.length - 1;
  const from = dayNumber(month.first) - first, start = dateOf(from), asOf = dayNumber(month.day) - first;
  const to = Math.round(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1) / DAY) - first - 1;
  const last = Math.min(to, archived.at(-1));
  const series = under({ ...place, service: -1, account: -1 }, 0).total;
  const before = newest && from < 0 ? score.micros[0] - sum(series, 0, asOf) : 0; // days that this page does not hold
  const upTo = [];
  for (let day = from, all = before; day <= last; day++) upTo.push(all += series[day] ?? 0);
  const found = { from, to, last, asOf, newest, upTo };
  if (newest) {
    const [spent, budget, low, likely, high] = score.micros;
    return { ...found, score, light: score.light, spent, budget, low, likely, high, text: score.text };
  }
  const spent = upTo.at(-1), budget = month.budgets[score.at];
  return { ...found, score, light: month.lights[score.at], spent, budget, low: null, likely: null, high: null,
    text: [money(spent), budget === null ? '' : money(budget), '', '', ''] };
}
let monthChart = null;
function drawMonth() {
  const { place, month: number } = shown.current;
  const there = Boolean(outlook) && place.service < 0 && !place.own && scoreOf.has(place.ou ?? outlook.all);
  byId('outlook').hidden = !there;
  monthChart = null;
  if (!there) return;
  const month = monthOf(place, number), { newest, light, score, text } = month;
  byId('month-title').textContent = place.ou === null ? 'All organizational units' : named(place.ou);
  byId('month-period').textContent = `${monthText(month.from)} against budget, ` +
    `${newest ? 'as of' : 'to'} ${longDay(newest ? month.asOf : month.last)}`;
  byId('month-unit').textContent = unit;
  const step = (by, arrow) => {
    const to = months[number + by];
    if (!to) return [];
    const day = dayNumber(to.first) - first, words = dayText(day, { day: undefined });
    const href = link({ month: number + by === months.length - 1 ? null : to.first.slice(0, 7) });
    return [make('a', { href, title: monthText(day) }, by < 0 ? `${arrow} ${words}` : `${words} ${arrow}`)];
  };
  byId('months').replaceChildren(...step(-1, '‹'), make('span', { 'aria-current': 'true' }, monthText(month.from)),
    ...step(1, '›'));
  const notice = text => make('p', { class: 'notice', role: 'note' }, text);
  byId('notices').replaceChildren(...outlook.notices.map(notice));

  const part = newest ? score.share : month.budget ? `${(100 * month.spent / month.budget).toFixed(0)} % of budget` : '';
  byId('verdict').replaceChildren(badge(light), part && `${part} ${newest && text[3] ? 'expected' : 'spent'}`);
  const passed = newest && score.passed;
  const passing = !passed ? 'not expected' : dateText(passed) + (passed > outlook.day ? ', expected' : '');
  const facts = [['Month to date', text[0], 'lead'], ['Budget', text[1] || 'none']];
  if (!newest) facts[0][0] = 'Month';
  const band = text[2] && text[4] && text[2] !== text[4] ? `${text[2]} to ${text[4]}` : 'none';
  if (newest) facts.push(['Forecast', text[3] || 'none'], ['80 % band', band]);
  if (newest && month.budget !== null && text[3] + passed) facts.push(['Budget passed', passing]);
  byId('facts').replaceChildren(...facts.map(([term, amount, kind]) =>
    make('div', { class: kind ?? '' }, make('dt', null, term), make('dd', null, amount))));
  byId('reason').textContent = newest && month.budget !== null ? word(score.reason) : '';
  const whole = newest && place.ou === null;
  const error = whole && outlook.why_no_forecast ? `No forecast: ${outlook.why_no_forecast}`
    : whole && outlook.error ? `Past forecasts as early in a month missed the rest of it by ` +
      `${outlook.error.replace(' ', '\u00a0')} (median).` : '';
  const parts = newest && (score.parts || outlook.why_whole);
  byId('method').textContent = [parts && `${word(parts)}.`, error].filter(Boolean).join(' ');
  plotMonth(month);
}
function plotMonth(month) {
  const { from, to, last, asOf, upTo, budget, low, likely, high, newest, light, text } = month;
  const ends = [...upTo, budget ?? 0, low ?? 0, likely ?? 0, high ?? 0];
  const days = { from, to, known: last }, { episodes } = shown;
  const plot = frame(byId('month-chart'), days, Math.min(0, ...ends), Math.max(0, ...ends) * 1.06, episodes);
  const { svg, x, y, slot, width, left, right } = plot;
  const ground = y(0), over = at => budget !== null && upTo[at] > budget;
  let plain = '', red = '';
  for (let day = Math.max(0, from); day <= last; day++) {
    if (!have.has(day)) continue;
    const at = y(upTo[day - from]), gap = Math.min(4, slot * .2);
    const [start, wide] = [x(day) + gap / 2, slot - gap].map(number => number.toFixed(1));
    const bar = (up, down) => `M${start} ${down.toFixed(1)}V${up.toFixed(1)}h${wide}V${down.toFixed(1)}z`;
    const line = over(day - from) ? y(Math.max(0, budget)) : at;
    plain += bar(line, ground);
    if (over(day - from)) red += bar(at, line);
  }
  svg.append(draw('path', { class: 'layer t0', d: plain }), draw('path', { class: 'over', d: red }));
  const tag = (kind, px, py, anchor, words) =>
    svg.append(draw('text', { class: `label ${kind}`, x: px, y: py, 'text-anchor': anchor }, words));
  const end = x(to) + slot / 2;
  const ahead = newest && likely !== null && asOf < to && asOf >= from;
  const passed = newest && month.score.passed ? dayNumber(month.score.passed) - first : null;
  if (ahead) {
    const now = `${(x(asOf) + slot / 2).toFixed(1)} ${y(upTo[asOf - from]).toFixed(1)}`, tone = lightKind(light);
    if (low !== null && high !== null) {
      svg.append(draw('path', { class: `cone ${tone}`, d: `M${now}L${end} ${y(high)}V${y(low)}z` }));
    }
    svg.append(draw('path', { class: `ahead ${tone}`, d: `M${now}L${end} ${y(likely)}` }),
      draw('circle', { class: `expected ${tone}`, cx: end, cy: y(likely), r: 4 }));
  }
  if (budget !== null) {
    const at = y(budget);
    svg.append(draw('line', { class: 'budget', x1: left, x2: width - right, y1: at, y2: at }));
    if (passed !== null && passed >= from && passed <= to) {
      const middle = x(passed) + slot / 2;
      svg.append(draw('line', { class: 'passing', x1: middle, x2: middle, y1: at, y2: ground }));
    }
    const when = passed === null ? '' : `, passed ${dayText(passed, withYear(passed))}${passed > asOf ? ', expected' : ''}`;
    tag('goal', left + 4, at - 6, 'start', width < 560 ? 'Budget' : `Budget ${text[1]}${when}`);
  }
  if (ahead) {
    const at = y(likely), beside = budget === null ? Infinity : y(budget);
    const slope = (y(upTo[asOf - from]) - at) / (end - x(asOf)); // below the line where the budget's words are above it
    const narrow = width < 560, below = Math.min(ground - 6, at + 18 + Math.max(0, (narrow ? 70 : 160) * slope));
    tag(`expected ${lightKind(light)}`, end - 8, at > beside && at - beside < 24 ? below : at - 9, 'end',
      narrow ? 'Forecast' : `Forecast ${text[3]}`);
  }
  byId('month-chart').replaceChildren(svg);
  monthChart = { ...plot, ...month, episodes, rest: Math.max(from, Math.min(last, newest ? asOf : last)) };
  const line = (kind, extra = []) => [...extra, draw('line', { class: kind, x1: 0, x2: 16, y1: 6, y2: 6 })];
  const box = kind => [draw('rect', { class: kind, x: 3, width: 10, height: 12 })];
  const tone = lightKind(light);
  const band = low === null ? [] : [draw('rect', { class: `cone ${tone}`, width: 16, height: 12 })];
  const forecast = low === null ? 'Forecast' : 'Forecast with its 80 % band';
  drawMarks(byId('month-marks'), days, episodes, [
    [box('layer t0'), 'Cost of the month up to the day'],
    ...(red ? [[box('over'), 'Over the budget']] : []),
    ...(budget !== null ? [[line('budget'), 'Budget']] : []),
    ...(ahead ? [[line(`ahead ${tone}`, band), forecast]] : []),
  ]);
  readMonth(monthChart.rest);
}
function readMonth(day) {
  monthChart.day = day;
  monthChart.moveCursor(day);
  const { from, last, upTo, episodes } = monthChart, known = day <= last;
  const there = known && have.has(day), cost = there ? upTo[day - from] - (upTo[day - from - 1] ?? 0) : 0;
  const all = `${money(upTo[day - from] ?? 0)} ${unit} to date`, own = `${money(cost)} ${unit} on the day`;
  const notes = !known ? ['Yet to come'] : [...(there ? [own] : []), ...dayNotes(day, episodes)];
  byId('month-readout').replaceChildren(make('strong', null, longDay(day)),
    ...(there ? [make('strong', null, all)] : []), ...notes.map(note => make('span', { class: 'muted' }, note)));
  tell(byId('month-chart'), monthChart, day, [...(there ? [all] : []), ...notes]);
}

