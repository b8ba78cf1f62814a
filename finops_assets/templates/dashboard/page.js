// ---- page

function choices(element, entries) {
  element.replaceChildren(...entries.map(([text, href, current]) =>
    make('a', { href, ...(current ? { 'aria-current': 'true' } : {}) }, text)));
}
function stackLayers(children, place) {
  const order = ['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7', 'other', 'unassigned'], byTone = new Map();
  for (const { code, series } of children) {
    const tone = toneOf(code), there = byTone.get(tone);
    if (there) {
      series.forEach((micros, day) => { there.series[day] += micros; });
      there.codes.push(code);
    } else {
      byTone.set(tone, { tone, name: label(0, code), series: series.slice(), codes: [code],
        href: childLink(place, 0, code) });
    }
  }
  const rest = byTone.get('other');
  if (rest) { rest.name = `Other OUs (${rest.codes.length})`; rest.href = ''; }
  return [...byTone.values()].sort((a, b) => order.indexOf(a.tone) - order.indexOf(b.tone));
}
function crumbs({ place: { ou, own, service, account }, dimension, value }) {
  const found = [['All organizational units', placeLink(null, { value: null })]];
  if (ou !== null) found.push([named(ou) + (own ? ' (own accounts)' : ''), placeLink(ou, { own, value: null })]);
  if (value >= 0) found.push([`${dimensions[dimension].key}: ${valueName(dimension, value)}`, '']);
  if (service >= 0) found.push([label(1, service), placeLink(ou, { own, service })]);
  const name = account >= 0 && accountName(account);
  if (account >= 0) found.push([name ? `${name} (${label(2, account)})` : label(2, account), '']);
  return found;
}
// The OUs above one are links, too; `words` begin with its path.
function ouCrumb(ou, words) {
  const parts = [];
  let from = 0;
  for (let at = ou.indexOf('/', 1); at > 0; at = ou.indexOf('/', at + 1)) {
    const above = ou.slice(0, at), name = ou.slice(from, at);
    const linked = scopes.has(above) && name.trim();
    parts.push(linked ? make('a', { href: placeLink(above), 'aria-label': above }, name) : name, '/');
    from = at + 1;
  }
  return [...parts, words.slice(from)];
}
function drawCrumbs(current) {
  const { place } = current, all = crumbs(current);
  byId('crumbs').replaceChildren(...all.map(([name, href], i) => {
    const last = i === all.length - 1, isOu = i === 1 && place.ou !== null;
    const parts = isOu ? ouCrumb(place.ou, name) : [name];
    const end = parts.pop();
    const attributes = last ? { 'aria-current': 'page' } : { href, ...(parts.length ? { 'aria-label': name } : {}) };
    return make('li', null, ...parts, make(last ? 'span' : 'a', attributes, end));
  }));
  byId('crumbs').parentElement.hidden = all.length === 1;
  byId('title').textContent = all.at(-1)[0];
}
// The tiles of the newest day, the month and the average are of the place that is shown; of the whole as they came.
const tileParts = [...document.querySelectorAll('.tiles li')].slice(0, 3).map(tile =>
  ({ value: tile.querySelector('.value'), whole: tile.querySelector('.value').textContent,
    lines: [...tile.querySelectorAll('.line')], first: tile.querySelector('.line')?.textContent }));
function drawTiles({ place, value }, total) {
  const whole = place.ou === null && place.service < 0 && place.account < 0 && value < 0;
  const day = archived.at(-1), monthFrom = Math.max(0, day - dateOf(day).getUTCDate() + 1);
  const recent = archived.filter(each => each > day - 30);
  const against = back => have.has(day - back)
    ? `${signed(total[day] - total[day - back])} (${percent(total[day], total[day - back])}) vs ${dayText(day - back)}`
    : `No data for ${dayText(day - back)}`;
  const values = [total[day], sum(total, monthFrom, day), recent.reduce((all, each) => all + total[each], 0) / recent.length];
  tileParts.forEach((part, at) => {
    part.value.textContent = whole ? part.whole : money(values[at]);
    if (at > 0) return;
    part.lines.forEach((line, number) => { line.hidden = !whole && number > 0; });
    if (part.lines[0]) part.lines[0].textContent = whole ? part.first : `${against(1)}; ${against(7)}`;
  });
}
function drawPage() {
  const current = state(), { place, level, from, to } = current;
  paint(place);
  const figures = current.dimension < 0 ? under(place, level) : byValue(current), { total, children } = figures;
  const episodes = allEpisodes.filter(episode => isIn(episode, place));
  const naming = code => figures.level === 3 ? valueName(current.dimension, code) : label(figures.level, code);
  const rows = children.map(({ code, series }) => ({
    code, series, label: naming(code), cost: sum(series, from, to), compared: compare(series, from, to),
    text: `${level === 2 ? `${accountName(code)} ` : ''}${naming(code)}`.toLowerCase(),
    href: figures.level === 3 ? valueLink(current, code) : undefined,
  })).filter(row => row.cost || row.series.subarray(from, to + 1).some(Boolean) || row.compared?.before);
  shown = { current, figures, rows, episodes };

  choices(byId('ranges'), PRESETS.map(([key, text]) =>
    [text, link({ range: key, from: null, to: null }), key === current.preset]));
  for (const [id, day] of [['from', from], ['to', to]]) {
    Object.assign(byId(id), { min: isoOf(0), max: isoOf(length - 1), value: isoOf(day) });
  }
  drawCrumbs(current);
  drawTiles(current, total);
  drawMonth();
  drawLights();

  const days = to - from + 1, there = archived.filter(day => day >= from && day <= to).length;
  const compared = compare(total, from, to);
  byId('sum').textContent = money(sum(total, from, to));
  byId('unit').textContent = unit;
  byId('period').textContent = `${periodText(from, to)}, ${there === days ? '' : `${there} of `}${count(days, 'day')}`;
  byId('change').textContent = compared
    ? `${signed(compared.by)} (${percent(compared.now, compared.before)}) against ${periodText(from - days, from - 1)}` +
      (compared.left ? `, ${count(compared.left, 'missing day')} left out of both` : '')
    : 'No equal period before this one on this page';

  const stacked = current.branch && !current.deepest;
  const layers = stacked ? stackLayers(current.value < 0 ? under(place, 0).children : children, place)
    : [{ tone: current.branch ? 't0' : toneOf([...groupsIn(place).values()][0]), series: total }];
  drawChart(layers, current, stacked, episodes);
  readDay(chart.rest);
  drawMarks(byId('marks'), current, episodes);
  drawOdd();
  drawMoved();

  const byOu = place.service < 0 && place.account < 0 && current.branch;
  const plain = !current.byDay && current.dimension < 0;
  const views = current.value >= 0 ? [['By OU', link({ view: null }), !current.byDay]] : [
    ...(byOu ? [['By OU', link({ view: null, by: null }), plain && level === 0]] : []),
    ...(place.service < 0
      ? [['By service', link({ view: byOu ? 'services' : null, by: null }), plain && level === 1]] : []),
    ...(place.service < 0 && place.account < 0
      ? [['By account', link({ view: 'accounts', by: null }), plain && level === 2]] : []),
    ...dimensionViews(current),
    ...(place.service >= 0 && place.account < 0 ? [['By account', link({ view: null }), !current.byDay]] : []),
  ];
  choices(byId('views'), [...views, ['By day', link({ view: 'days' }), current.byDay]]);
  byId('search').placeholder = current.byDay ? 'Filter days' : `Filter ${PLURALS[figures.level]}`;
  drawTable();
}

let drawnPlace = null;
function onAddress() {
  const { place: at, dimension, value } = state();
  const place = JSON.stringify([at, dimension, value]), opened = drawnPlace === null, moved = !opened && place !== drawnPlace;
  const focused = document.activeElement, high = byId('outlook').contains(focused) || byId('crumbs').contains(focused);
  const panel = byId('daily'), before = panel.getBoundingClientRect().top;
  if (moved) {
    byId('search').value = byId('find').value = '';
    byId('everywhere').value = '';
    drawFound();
    everyRow = everyLight = everyEpisode = everyRestated = everyMove = false;
  }
  drawPage();
  drawnPlace = place;
  if (opened) return; // a page begins at its top
  if (high && !byId('outlook').hidden) {
    if (moved) focusOn(byId('month-title'));
    else if (!document.contains(focused)) byId('months').querySelector('a')?.focus();
    return;
  }
  // What was followed stays where it is, and the focus goes on from the new title if the row is gone.
  scrollBy(0, panel.getBoundingClientRect().top - before);
  if (moved && document.activeElement === document.body) byId('title').focus({ preventScroll: true });
}
function focusOn(title) {
  title.focus({ preventScroll: true });
  if (title.getBoundingClientRect().top < 0) title.closest('section').scrollIntoView();
}
byId('app').hidden = false;
onAddress();
addEventListener('hashchange', onAddress);
byId('search').addEventListener('input', drawTable);
byId('everywhere').addEventListener('input', drawFound);
byId('csv').addEventListener('click', saveCsv);
byId('find').addEventListener('input', drawLights);
for (const [id, show] of Object.entries({
  more: () => { everyRow = true; drawTable(); },
  'more-lights': () => { everyLight = true; drawLights(); },
  'more-episodes': () => { everyEpisode = true; drawOdd(); },
  'more-restated': () => { everyRestated = true; drawOdd(); },
})) byId(id).addEventListener('click', show);
byId('dates').addEventListener('submit', event => event.preventDefault());
byId('dates').addEventListener('change', () => {
  const [from, to] = [byId('from').value, byId('to').value];
  if (from && to) location.hash = link({ from, to, range: null });
});
function steer(holder, plot, read) {
  holder.addEventListener('pointermove', event => read(plot().dayAt(event)));
  holder.addEventListener('pointerdown', event => read(plot().dayAt(event)));
  holder.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') read(plot().rest); });
  holder.addEventListener('keydown', event => {
    const { day, from, to } = plot();
    const next = { ArrowLeft: day - 1, ArrowRight: day + 1, PageUp: day + 7, PageDown: day - 7, Home: from, End: to };
    if (next[event.key] === undefined) return;
    event.preventDefault();
    read(Math.min(to, Math.max(from, next[event.key])));
  });
}
steer(byId('chart'), () => chart, readDay);
steer(byId('month-chart'), () => monthChart, readMonth);
let width = byId('chart').clientWidth;
new ResizeObserver(() => {
  const now = byId('chart').clientWidth;
  if (now === width || !now) return;
  width = now;
  const { current } = shown, { day } = chart;
  drawChart(chart.layers, current, chart.stacked, chart.episodes);
  readDay(day);
  if (monthChart) plotMonth(monthChart);
}).observe(byId('chart'));
