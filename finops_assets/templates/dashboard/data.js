'use strict';
// The page's state is its address (#ou=...&service=...&range=30): every row is a link, and Back goes back.
// An OU contains what lies below it; `own` narrows it down to its own accounts.
// Names come from the bill and may hold anything: they reach the page as text nodes only.
const byId = id => document.getElementById(id);
const data = JSON.parse(byId('data').textContent);
// Many numbers come packed: each as what it is more than the one before it in its row, in seven bits a byte.
function unpack(text, lengths) {
  const bytes = atob(text);
  let at = 0;
  const next = () => {
    let value = 0, factor = 1, byte;
    do {
      byte = bytes.charCodeAt(at++);
      value += (byte & 127) * factor;
      factor *= 128;
    } while (byte > 127);
    return value % 2 ? -(value + 1) / 2 : value / 2;
  };
  return lengths.map(length => {
    const row = new Float64Array(length);
    for (let i = 0, last = 0; i < length; i++) row[i] = last += next();
    return row;
  });
}
if (data.packed) {
  data.amounts = unpack(data.packed.amounts, data.packed.lengths);
  data.ou_rest = unpack(data.packed.ou_rest, data.ou.map(() => data.days.length));
}
const unit = `${data.currency}, ${data.cost_basis}`;
const LEVELS = ['ou', 'service', 'account'];
const NOUNS = ['Organizational unit', 'Service', 'Linked account'];
const PLURALS = ['organizational units', 'services', 'linked accounts'];
const PRESETS = [['7', '7 days'], ['30', '30 days'], ['90', '90 days'], ['month', 'Month to date'], ['all', 'All']];
const TONES = 8, ROWS = 200, FEW = 10, TOLD = 3, DAY = 864e5;
// So many OUs have their tiles at once; of more, so many: those that need attention most.
const [TILES, WORST] = matchMedia('(max-width: 620px)').matches ? [6, 4] : [12, 8];
const dimensions = data.dimensions ?? []; // none where no dimension is set
const outlook = data.outlook; // not there on a page without scorecards

// ---- days: positions on a calendar that starts with the first archived day

const dayNumber = iso => Date.parse(iso + 'T00:00:00Z') / DAY;
const first = dayNumber(data.days[0]);
const length = dayNumber(data.last) - first + 1;
const archived = data.days.map(iso => dayNumber(iso) - first);
const dateOf = day => new Date((first + day) * DAY);
const isoOf = day => dateOf(day).toISOString().slice(0, 10);
const have = new Set(archived);
const scheduled = new Float64Array(length);
const settlement = new Array(length).fill('');
archived.forEach((day, at) => { scheduled[day] = data.scheduled[at]; settlement[day] = data.settlement[at]; });
const isScheduled = day => Math.abs(scheduled[day]) >= 5000; // half a cent
// A Savings Plan's fee is there every day: what is marked is a day that differs from the days on both its sides.
const unusual = new Set(archived.filter((day, at) => {
  const beside = [data.scheduled[at - 1], data.scheduled[at + 1]].filter(amount => amount !== undefined);
  const differs = amount => Math.abs(scheduled[day] - amount) >= Math.max(5000, Math.abs(amount) / 10);
  return isScheduled(day) && beside.every(differs);
}));
const isUnusual = day => unusual.has(day);
const isProvisional = day => settlement[day] === 'provisional';
const restated = new Map((outlook?.restated ?? []).map(found => [dayNumber(found.day) - first, found]));
const isRestated = day => restated.has(day);

function dayText(day, options = {}) {
  return new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC', ...options })
    .format(dateOf(day)).replace(',', '').replace(/Sept\b/, 'Sep');
}
const longDay = day => dayText(day, { weekday: 'short', year: 'numeric' });
const oneYear = (from, to) => isoOf(from).slice(0, 4) === isoOf(to).slice(0, 4);
function periodText(from, to) {
  return `${dayText(from, oneYear(from, to) ? {} : { year: 'numeric' })} to ${dayText(to, { year: 'numeric' })}`;
}
const thisYear = new Date().getUTCFullYear();
const isThisYear = day => dateOf(day).getUTCFullYear() === thisYear;
const withYear = day => isThisYear(day) ? {} : { year: 'numeric' };
const count = (number, noun) => `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;

