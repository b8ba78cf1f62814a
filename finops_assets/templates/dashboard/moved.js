// ---- what moved on the newest day: the cause of each move, and the parts that add up to it

let everyMove = false;
function moveItem({ ou, service, account, change, cause, parts }) {
  const codes = { service: data.service.indexOf(service), account: data.account.indexOf(account) };
  const name = codes.account >= 0 && accountName(codes.account);
  const words = [named(ou), service, name ? `${name} (${account})` : account].join(' › ');
  const there = scopes.has(ou) && codes.service >= 0 && codes.account >= 0;
  const heads = [['Part', ''], ['Cause', 'cause'], ['Before', ''], ['Now', ''], ['Change', '']];
  const row = ([what, why, ...amounts]) => make('tr', null, rowHead(what), make('td', { class: 'cause' }, why),
    ...amounts.map(amount => make('td', null, amount)));
  return make('li', null,
    make('p', { class: 'where' }, there ? make('a', { href: placeLink(ou, codes) }, words) : words),
    make('p', null, make('span', { class: 'impact' }, change), ' ', unitOf()),
    make('p', { class: 'why' }, cause ? `Cause: ${cause}` : ''),
    make('details', { class: 'parts' }, make('summary', null, count(parts.length, 'part')),
      make('div', { class: 'wide' }, make('table', null,
        make('caption', { class: 'hidden' }, `Parts of ${words}, ${unit}`),
        make('thead', null, make('tr', null, ...heads.map(([text, kind]) =>
          make('th', { scope: 'col', class: kind }, text)))),
        make('tbody', null, ...parts.map(row))))));
}
function drawMoved() {
  const rows = data.moved.rows.filter(row => isIn(row, shown.current.place));
  byId('moved').hidden = !rows.length;
  if (!rows.length) return;
  byId('moved-unit').textContent = unit;
  byId('moved-foot').textContent = `${data.moved.day} against ${data.moved.against}: the largest moves of each OU.`;
  byId('more-moves').hidden = everyMove || rows.length <= FEW;
  byId('more-moves').textContent = `Show all ${rows.length.toLocaleString('en-US')} moves`;
  byId('moves').replaceChildren(...(everyMove ? rows : rows.slice(0, FEW)).map(moveItem));
}
byId('more-moves').addEventListener('click', () => { everyMove = true; drawMoved(); });

