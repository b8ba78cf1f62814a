// ---- anomalies and restated days

const allEpisodes = (outlook?.episodes ?? []).map(episode =>
  ({ ...episode, from: dayNumber(episode.first) - first, to: dayNumber(episode.last) - first }));
function isIn(episode, { ou, own, service, account }) {
  const below = ou === null || episode.ou === ou || (!own && episode.ou.startsWith(`${ou}/`));
  return below && (service < 0 || episode.service === data.service[service])
    && (account < 0 || episode.account === data.account[account]);
}
const SIGNS = new Map([['open', '◆'], ['growing', '▲'], ['closed', '●'], ['withdrawn', '×'], ['planned', '○']]);
function episodeItem(episode) {
  const { ou, service, account, state } = episode, sign = SIGNS.get(state) ?? '◆';
  const codes = { service: data.service.indexOf(service), account: data.account.indexOf(account) };
  const whole = ou === outlook.all;
  const name = codes.account >= 0 && accountName(codes.account);
  const words = [whole ? 'All organizational units' : named(ou), ...(service ? [service] : []),
    ...(account ? [name ? `${name} (${account})` : account] : [])].join(' › ');
  const there = (whole || scopes.has(ou)) && (!service || codes.service >= 0) && (!account || codes.account >= 0);
  const ends = [episode.first, episode.last].map(iso => dayNumber(iso) - first), [from, to] = ends;
  const days = from === to ? dateText(episode.last)
    : `${oneYear(from, to) ? dayText(from) : dateText(episode.first)} to ${dateText(episode.last)}`;
  const target = { service: codes.service, account: codes.service < 0 ? -1 : codes.account };
  const link = there ? make('a', { href: placeLink(whole ? null : ou, target) }, words) : words;
  const stateBadge = make('span', { class: `light ${['open', 'growing'].includes(state) ? 'red' : 'none'}` },
    make('span', { 'aria-hidden': 'true' }, `${sign} `), word(state));
  return make('li', null,
    make('p', { class: 'what' }, stateBadge, ' ', make('strong', null, word(episode.kind)), ' ',
      make('span', null, days), ' ', make('span', { class: 'id' }, episode.id)),
    make('p', null, make('span', { class: 'impact' }, episode.impact), ' ', unitOf()),
    make('p', { class: 'where' }, link),
    make('p', { class: 'muted' }, `${episode.actual} against ${episode.expected} expected`),
    make('p', { class: 'why' }, episode.reason + (episode.planned ? ` Planned: ${episode.planned}` : '')));
}
let everyEpisode = false, everyRestated = false;
function drawOdd() {
  const { current: { from, to }, episodes } = shown, period = periodText(from, to);
  byId('odd').hidden = !outlook;
  if (!outlook) return;
  const inRange = episodes.filter(episode => episode.from <= to && episode.to >= from);
  const again = [...restated].filter(([day]) => day >= from && day <= to).map(([, found]) => found).reverse();
  const cut = (all, every, button, noun) => {
    byId(button).hidden = every || all.length <= FEW;
    byId(button).textContent = `Show all ${all.length.toLocaleString('en-US')} ${noun}`;
    return every ? all : all.slice(0, FEW);
  };
  byId('odd-unit').textContent = unit;
  const others = episodes.length - inRange.length;
  const anomalies = inRange.length === 1 ? '1 anomaly' : `${inRange.length || 'no'} anomalies`;
  byId('odd-foot').textContent = `${period}: ${anomalies}${others ? ` (${others} more in other periods)` : ''}, ` +
    `${again.length ? count(again.length, 'day') : 'no day'} restated.`;
  byId('episodes').replaceChildren(...cut(inRange, everyEpisode, 'more-episodes', 'anomalies').map(episodeItem));
  const heads = [['Restated day', ''], ['First archived', ''], ['Now', ''], ['Change', ''], ['Last changed', 'seen']];
  const head = ([text, kind]) => make('th', { scope: 'col', class: kind }, text);
  const row = found => make('tr', null, rowHead(dateText(found.day)),
    ...[found.old, found.new, found.by].map(amount => make('td', null, amount)),
    make('td', { class: 'seen' }, dateText(found.seen)));
  const visible = cut(again, everyRestated, 'more-restated', 'restated days');
  byId('restatements').replaceChildren(...(again.length ? [make('h3', null, 'Restated days, whole bill ', unitOf()),
    make('table', null, make('caption', { class: 'hidden' }, `Restated days, whole bill, ${unit}, ${period}`),
      make('thead', null, make('tr', null, ...heads.map(head))),
      make('tbody', null, ...visible.map(row)))] : []));
}

