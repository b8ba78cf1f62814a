// ---- table

let sort = { by: 'cost', down: true };
let everyRow = false;
let shown = null;
function header(columns) {
  return make('thead', null, make('tr', null, ...columns.map(([key, text, sub, kind]) => {
    const words = [text, ...(sub ? [make('br'), make('span', { class: 'unit' }, sub)] : [])];
    const cell = make('th', { scope: 'col', class: kind });
    if (!key) return fill(cell, null, words);
    if (sort.by === key) {
      cell.setAttribute('aria-sort', sort.down ? 'descending' : 'ascending');
      words[0] = `${text} ${sort.down ? '↓' : '↑'}`;
    }
    const button = make('button', { type: 'button', 'data-sort': key }, ...words);
    button.addEventListener('click', () => {
      sort = { by: key, down: sort.by === key ? !sort.down : key !== 'name' };
      drawTable();
      byId('table').querySelector(`[data-sort=${key}]`).focus();
    });
    return fill(cell, null, [button]);
  })));
}
const rowHead = (...words) => make('th', { scope: 'row' }, ...words);
const noCell = () => make('td', { class: 'none' }, '–');
const moneyCell = micros => make('td', null, money(micros));
function changeCell(compared) {
  if (!compared) return noCell();
  const relative = make('span', { class: 'small' }, percent(compared.now, compared.before));
  return make('td', null, signed(compared.by), ' ', relative);
}
function nameCell(place, level, row) {
  const name = level === 2 && accountName(row.code);
  const words = name ? [name, ' ', make('span', { class: 'id' }, row.label)] : breakable(row.label);
  const tone = level === 0 ? [swatch(toneOf(row.code))] : [];
  const href = row.href === undefined ? childLink(place, level, row.code) : row.href;
  if (href === null) return rowHead(make('span', { class: 'row' }, ...words));
  return rowHead(make('a', { class: 'row', href }, ...tone, make('span', null, ...words)));
}
function drawTable() {
  const { current, figures, rows } = shown;
  current.byDay ? drawDays(current, figures, shown.episodes) : drawChildren(current, figures, rows);
}
function drawChildren({ place, from, to }, { level, total, noun = NOUNS[level], note = '' }, all) {
  const wanted = byId('search').value.trim().toLowerCase();
  const rows = all.filter(row => row.text.includes(wanted));
  const value = { name: row => row.text, cost: row => row.cost, change: row => row.compared?.by ?? 0 }[sort.by];
  const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  rows.sort((a, b) => (sort.down ? -1 : 1) * order(value(a), value(b)) || order(a.text, b.text));
  const whole = sum(total, from, to), compared = compare(total, from, to);
  const share = cost => whole > 0 && cost >= 0 ? cost / whole : null;
  const percentage = part => part === null ? '–' : `${(100 * part).toFixed(1)} %`;
  const visible = everyRow ? rows : rows.slice(0, ROWS);
  const line = row => {
    const part = share(row.cost), bar = make('i', level === 0 ? { class: toneOf(row.code) } : null);
    bar.style.width = `${Math.min(100, 100 * (part ?? 0))}%`;
    const cells = make('tr', null, nameCell(place, level, row), moneyCell(row.cost),
      make('td', { class: 'share' }, make('span', { class: 'bar', 'aria-hidden': 'true' }, bar),
        make('span', { class: 'part' }, percentage(part))),
      changeCell(row.compared), make('td', { class: 'trend' }, sparkline(row.series, { from, to })));
    if (level === 0 && chart.stacked) {
      for (const event of ['mouseenter', 'focusin']) cells.addEventListener(event, () => light(row.code));
      for (const event of ['mouseleave', 'focusout']) cells.addEventListener(event, () => light(null));
    }
    return cells;
  };
  const foot = (text, cost, change) => make('tr', null, rowHead(text), moneyCell(cost),
    make('td', { class: 'share' }, percentage(share(cost))), changeCell(change), make('td', { class: 'trend' }));
  const found = foot(`${rows.length} of ${all.length} found`, rows.reduce((cost, row) => cost + row.cost, 0), null);
  byId('table').replaceChildren(
    make('caption', { class: 'hidden' }, `${noun}s, ${unit}, ${periodText(from, to)}`),
    header([['name', noun, '', ''], ['cost', 'Cost', unit, 'cost'], ['', 'Share', '', 'share'],
      ['change', 'Change', unit, 'change'], ['', 'Trend', weekly(from, to) ? 'weekly average' : 'daily', 'trend']]),
    make('tbody', null, ...visible.map(line)),
    make('tfoot', null, ...(wanted ? [found] : []), foot(`Total, ${count(all.length, 'row')}`, whole, compared)));
  byId('more').hidden = visible.length === rows.length;
  byId('more').textContent = `Show all ${rows.length.toLocaleString('en-US')}`;
  byId('foot').textContent = wanted && !rows.length ? 'Nothing here has that in its name.' : note;
}
function drawDays({ from, to }, { total }, episodes) {
  const wanted = byId('search').value.trim().toLowerCase();
  const rows = [];
  for (let day = to; day >= from; day--) {
    const notes = dayNotes(day, episodes).join('; ');
    const week = have.has(day) && have.has(day - 7) ? total[day - 7] : null;
    const compared = week === null ? null : { by: total[day] - week, now: total[day], before: week };
    if (!`${longDay(day)} ${isoOf(day)} ${notes}`.toLowerCase().includes(wanted)) continue;
    const name = isThisYear(day) ? dayText(day, { weekday: 'short' }) : longDay(day);
    rows.push(make('tr', null, rowHead(name, ' ', make('span', { class: 'note' }, notes)),
      have.has(day) ? moneyCell(total[day]) : noCell(), changeCell(compared)));
  }
  byId('table').replaceChildren(
    make('caption', { class: 'hidden' }, `Days, ${unit}, ${periodText(from, to)}`),
    header([['', 'Day (UTC)', '', ''], ['', 'Cost', unit, 'cost'], ['', 'Change in 7 days', unit, 'change']]),
    make('tbody', null, ...rows),
    make('tfoot', null, make('tr', null, rowHead('Total'), moneyCell(sum(total, from, to)), make('td'))));
  byId('more').hidden = true;
  byId('foot').textContent = rows.length ? '' : 'No day has that.';
}
function light(code) {
  byId('chart').classList.toggle('dim', code !== null);
  for (const layer of chart.stacked ? chart.layers : []) layer.mark.classList.toggle('lit', layer.codes.includes(code));
}

