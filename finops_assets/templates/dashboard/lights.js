// A small bar: spent, expected with its band, budget.
function bullet({ micros: [spent, budget, low, likely, high] }) {
  const most = Math.max(spent, budget ?? 0, high ?? 0, likely ?? 0) * 1.03 || 1;
  const at = micros => Math.min(100, Math.max(0, micros / most * 100));
  const box = (kind, from, to, y, height) =>
    draw('rect', { class: kind, x: at(from), width: Math.max(0, at(to) - at(from)), y, height });
  const tick = (kind, micros, y, height) =>
    micros === null ? [] : [draw('rect', { class: kind, x: Math.min(99.1, at(micros)), width: .9, y, height })];
  const red = budget !== null && spent > budget;
  return draw('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    draw('rect', { class: 'track', width: 100, y: 3, height: 4 }),
    ...(low !== null && high !== null ? [box('likely', low, high, 3, 4)] : []),
    box('spent', 0, red ? budget : spent, 3, 4), ...(red ? [box('over', budget, spent, 3, 4)] : []),
    ...tick('expected', likely, 2, 6), ...tick('goal', budget, 0, 10));
}
function tile(score) {
  const { ou, light, text: [spent, budget, low, likely, high] } = score, at = ou.lastIndexOf('/') + 1;
  const line = (words, kind = '') => make('span', { class: `line ${kind}` }, words);
  const fact = (what, amount, kind = '') =>
    [make('span', { class: `fact ${kind}` }, `${what} `, make('b', null, amount)), ' '];
  const passed = score.passed && dateText(score.passed) + (score.passed > outlook.day ? ', expected' : '');
  const above = () => make('span', { class: 'above' }, ...breakable(ou.slice(0, at)));
  const name = at ? [above(), make('wbr'), ou.slice(at)] : [named(ou)];
  return make('li', null, make('a', { class: lightKind(light), href: placeLink(ou, { view: null }) },
    make('span', { class: 'top' }, badge(light), ' ', make('span', { class: 'taken' }, score.share)), ' ',
    make('span', { class: 'name' }, ...name), ' ',
    make('span', { class: 'amount' }, spent, ' ', unitOf()), ' ', line('Month to date'), bullet(score),
    ...fact('Budget', budget || 'none'), ...fact('Forecast', likely || 'none'),
    ...(low && high && low !== high ? fact('80 % band', `${low} to ${high}`) : []),
    ...(passed ? fact('Budget passed', passed, 'passed') : []),
    ...(budget ? [line(word(score.reason), 'why')] : [])));
}
let everyLight = false;
function drawLights() {
  const { ou, service, own } = shown.current.place;
  const isBelow = score => score.ou !== outlook.all && (ou === null || score.ou.startsWith(`${ou}/`));
  const scores = outlook && service < 0 && !own ? outlook.scores.filter(isBelow) : [];
  byId('below').hidden = !scores.length || shown.current.month < months.length - 1;
  if (byId('below').hidden) return;
  const wanted = byId('find').value.trim().toLowerCase();
  const found = scores.filter(score => `${named(score.ou)} ${score.light}`.toLowerCase().includes(wanted));
  const few = found.length > TILES && !everyLight;
  const worst = () => outlook.worst.map(at => outlook.scores[at]).filter(score => found.includes(score));
  const visible = few ? worst().slice(0, WORST) : found;
  byId('below-title').textContent = ou === null ? 'Lights by organizational unit' : `Below ${named(ou)}`;
  byId('below-unit').textContent = `${unit}, as of ${dateText(outlook.day)}`;
  byId('find').hidden = scores.length <= TILES;
  byId('lights').replaceChildren(...visible.map(tile));
  byId('more-lights').hidden = !few;
  byId('more-lights').textContent = `Show all ${found.length.toLocaleString('en-US')}`;
  byId('lights-foot').textContent = !found.length ? 'Nothing here has that in its name or light.'
    : few ? `${visible.length} of ${count(found.length, 'organizational unit')}, those that need attention most first.`
    : wanted ? `${found.length} of ${scores.length} found` : '';
}

