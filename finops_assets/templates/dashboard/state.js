// ---- state: read from the address, changed by links

const months = outlook ? [...outlook.months, { first: `${outlook.day.slice(0, 8)}01`, day: outlook.day }] : [];

function state() {
  const query = new URLSearchParams(location.hash.slice(1));
  const ou = query.get('ou'), place = { ou: scopes.has(ou) ? ou : null, own: false, service: -1, account: -1 };
  if (ou === place.ou) { // of an OU that is gone, no service is shown either
    place.own = place.ou !== null && query.has('own');
    place.service = data.service.indexOf(query.get('service'));
    place.account = data.account.indexOf(query.get('account'));
  }
  const branch = isBranch(place) && place.account < 0, deepest = place.account >= 0 && place.service >= 0, view = query.get('view');
  const by = query.get('by'), dimension = place.service >= 0 ? -1 : dimensions.findIndex(({ key }) => key === by);
  const value = dimension < 0 ? -1 : dimensions[dimension].values.indexOf(query.get('value'));
  const level = place.service >= 0 ? 2 : view === 'accounts' && place.account < 0 && dimension < 0 ? 2
    : place.account >= 0 ? 1 : value >= 0 || (branch && view !== 'services') ? 0 : 1;
  const last = length - 1, into = day => Math.min(last, Math.max(0, day));
  let preset = query.get('range') || '30', from = 0, to = last;
  const ends = [query.get('from'), query.get('to')].map(iso => dayNumber(iso) - first);
  if (ends.every(Number.isFinite)) {
    preset = '';
    [from, to] = ends.sort((a, b) => a - b).map(into);
  } else if (preset === 'month') {
    from = into(last - dateOf(last).getUTCDate() + 1);
  } else if (preset !== 'all') {
    from = into(last + 1 - (Number(preset) || 30));
  }
  const month = months.findIndex(({ first }) => first.startsWith(`${query.get('month')}-`));
  return { place, branch, level, preset, from, to, byDay: deepest || view === 'days', deepest, dimension, value,
    month: month < 0 ? months.length - 1 : month };
}
function link(changes) {
  const query = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) value === null ? query.delete(name) : query.set(name, value);
  return `#${query}`;
}
// To a place: null for All, or the path of an OU; positions of a service and an account.
function placeLink(ou, { own = false, service = -1, account = -1, ...others } = {}) {
  return link({ ou, own: own ? '1' : null, service: service < 0 ? null : data.service[service],
    account: account < 0 ? null : data.account[account], ...others });
}
function childLink({ ou, own, service, account }, level, code) {
  if (level === 2 && service < 0) return placeLink(ou, { own, account: code, view: null });
  if (level === 0) return placeLink(groups.get(code).path, { own: groups.get(code).own, service, account });
  return placeLink(ou, level === 1 ? { own, service: code, account } : { own, service, account: code });
}

