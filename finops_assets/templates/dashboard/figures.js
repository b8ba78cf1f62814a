// ---- figures: cost by day of what a path (OU, service, account) contains

const scopes = new Map(); // the path of an OU, or of one above it -> the OUs with rows that it contains
data.ou.forEach((name, code) => {
  const add = path => scopes.has(path) ? scopes.get(path).push(code) : scopes.set(path, [code]);
  for (let at = name.indexOf('/', 1); at > 0; at = name.indexOf('/', at + 1)) add(name.slice(0, at));
  add(name);
});
for (const { ou } of outlook?.scores ?? []) {
  if (ou !== outlook.all && !scopes.has(ou)) scopes.set(ou, []); // a budget without costs
}
const codesOf = ({ ou, own }) => {
  if (ou === null) return data.ou.map((_, code) => code);
  return own ? scopes.get(ou).filter(code => data.ou[code] === ou) : scopes.get(ou);
};
const isBranch = place => place.ou === null || (!place.own && codesOf(place).some(code => data.ou[code] !== place.ou));
const named = name => name.trim() ? name : '(no name)';
const ouName = ({ path, own }) => named(path) + (own ? ' (own accounts)' : '');
// What level 0 tells apart: each OU of the place, or where those are too many for their colours, the OUs just below it.
const groups = new Map(); // by id: path, and whether it is only the OU's own accounts
const groupings = new Map();
function groupsIn(place) {
  const id = JSON.stringify([place.ou, place.own]);
  if (groupings.has(id)) return groupings.get(id);
  const codes = codesOf(place), depth = place.ou === null ? 0 : place.ou.length + 1, found = new Map();
  for (const code of codes) {
    const name = data.ou[code], end = codes.length > TONES ? name.indexOf('/', depth + 1) : -1;
    const above = end < 0 ? name : name.slice(0, end), path = scopes.get(above).length > 1 ? above : name;
    const own = scopes.get(path).length > 1 && (codes.length <= TONES || path === place.ou);
    const group = own ? `${path}\u0000` : path;
    groups.set(group, { path, own });
    found.set(code, group);
  }
  groupings.set(id, found);
  return found;
}
const label = (level, code) => level === 0 ? ouName(groups.get(code)) : named(data[LEVELS[level]][code]);
const accountName = code => data.account_name[code];
const memory = new Map();
// Cost of a place by day, as a whole and by OU (level 0), service (1) or account (2).
function under(place, level) {
  const id = JSON.stringify([place.ou, place.own, place.service, place.account, level]);
  const known = memory.get(id);
  if (known) return known;
  const { service, account } = place, group = groupsIn(place);
  const children = new Map(), total = new Float64Array(length);
  data.keys.forEach((key, at) => {
    if (!group.has(key[0]) || (service >= 0 && key[1] !== service) || (account >= 0 && key[2] !== account)) return;
    const child = level === 0 ? group.get(key[0]) : key[level];
    let series = children.get(child);
    if (!series) children.set(child, series = new Float64Array(length));
    const amounts = data.amounts[at], skipped = archived.length - amounts.length; // of the last days alone
    amounts.forEach((micros, i) => { series[archived[skipped + i]] += micros; total[archived[skipped + i]] += micros; });
  });
  // In 1e-12: with it the cents of an OU are those of the bill, however many rows were rounded.
  for (const [ou, child] of service < 0 && account < 0 ? group : []) {
    const series = level === 0 ? children.get(child) : null;
    data.ou_rest[ou].forEach((picos, i) => {
      total[archived[i]] += picos / 1e6;
      if (series) series[archived[i]] += picos / 1e6;
    });
  }
  const found = { level, total, children: [...children].map(([code, series]) => ({ code, series })) };
  if (memory.size > 50) memory.clear();
  memory.set(id, found);
  return found;
}
const sum = (series, from, to) => { let all = 0; for (let i = from; i <= to; i++) all += series[i]; return all; };

// Against the equal period before; a day missing in either is left out of both.
function compare(series, from, to) {
  const days = to - from + 1;
  if (from < days) return null;
  let now = 0, before = 0, left = 0;
  for (let i = from; i <= to; i++) {
    if (have.has(i) && have.has(i - days)) { now += series[i]; before += series[i - days]; } else left += 1;
  }
  return left === days ? null : { by: now - before, now, before, left };
}

// Colours belong to OUs, by their size on the whole page: a range or a filter never repaints them. Only where the OUs
// of a place are too small to have any, or are told apart only there, they are given anew.
const WHOLE = { ou: null, own: false, service: -1, account: -1 };
const palettes = new Map();
let tones = new Map();
function palette(place) {
  const size = series => series.reduce((all, micros) => all + Math.abs(micros), 0);
  const named = under(place, 0).children.filter(child => child.code !== data.unassigned);
  const order = named.map(child => [size(child.series), child.code]).sort((a, b) => b[0] - a[0]);
  const own = order.length > TONES ? TONES - 1 : TONES;
  return new Map(order.map(([, code], rank) => [code, rank < own ? `t${rank}` : 'other']));
}
function paint({ ou }) {
  if (!palettes.has(null)) palettes.set(null, palette(WHOLE));
  if (!palettes.has(ou)) {
    const whole = palettes.get(null), place = { ...WHOLE, ou };
    const there = [...new Set(groupsIn(place).values())].map(id => whole.get(id) ?? 'other');
    palettes.set(ou, there.filter(tone => tone === 'other').length < 2 ? whole : palette(place));
  }
  tones = palettes.get(ou);
}
const toneOf = id => tones.get(id) ?? (id === data.unassigned ? 'unassigned' : 't0');

