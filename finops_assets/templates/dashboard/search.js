
// ---- search in the whole page, and the table as a file

const FOUND = 12;
const cell = words => {
  const text = /^[=+\-@\t\r]/.test(words) && !/^[+-]?[\d,.]+( %)?$/.test(words) ? `'${words}` : words;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
// Every OU, service and account of the page, whatever is shown of it: account ids are found by their names, too.
function drawFound() {
  const wanted = byId('everywhere').value.trim().toLowerCase(), all = [];
  const has = words => words.toLowerCase().includes(wanted);
  if (wanted) {
    for (const path of scopes.keys()) if (has(path)) all.push(['OU', named(path), placeLink(path)]);
    data.service.forEach((name, service) => {
      if (has(name)) all.push(['Service', named(name), placeLink(null, { service })]);
    });
    data.account.forEach((id, account) => {
      const name = accountName(account), words = name ? `${name} (${id})` : named(id);
      if (has(words)) all.push(['Account', words, placeLink(null, { account })]);
    });
  }
  byId('found').replaceChildren(...all.slice(0, FOUND).map(([noun, words, href]) =>
    make('li', null, make('a', { href }, words), ' ', make('span', { class: 'muted' }, noun))));
  byId('found-foot').textContent = !wanted ? '' : !all.length ? 'Nothing on this page has that in its name.'
    : all.length > FOUND ? `${FOUND} of ${all.length.toLocaleString('en-US')} shown` : `${all.length} found`;
}
// What the table shows, as its reader sees it; amounts without grouping, names that a spreadsheet would execute quoted.
function tableRows() {
  const words = part => [...part.cells].filter(each => !each.classList.contains('trend'))
    .map(each => each.tagName === 'TD' && each.querySelector('.small') ? each.firstChild.textContent : each.innerText)
    .map(text => text.replace(/\s+/g, ' ').replace(/ [↓↑]/, '').trim());
  const amount = text => /^[+-]?[\d,]+\.\d+$/.test(text) ? text.replaceAll(',', '') : text;
  return [...byId('table').rows].map(row => words(row).map(amount));
}
function saveCsv() {
  const { from, to } = shown.current;
  const rows = [...tableRows(), [], [`${unit}, ${periodText(from, to)}, ${byId('title').textContent}`]];
  const text = `\ufeff${rows.map(row => row.map(cell).join(',')).join('\r\n')}\r\n`;
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  make('a', { href: url, download: `costs_${isoOf(from)}_${isoOf(to)}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
