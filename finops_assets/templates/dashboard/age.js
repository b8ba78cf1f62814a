// ---- how old the data are, counted when the page is opened: the words of core/age.py

function ageAt(now) {
  const { through, due, holes } = data.age;
  const newest = dayNumber(through), today = Math.floor(now / DAY), yesterday = today - 1, dueAt = Date.parse(due);
  const before = holes.map(ends => ends.map(dayNumber));
  const stretches = newest < yesterday ? [...before, [newest + 1, yesterday]] : before;
  const days = (sum, [from, to]) => sum + to - from + 1;
  const earlier = before.reduce(days, 0), missing = stretches.reduce(days, 0);
  const full = day => dayText(day - first, { year: 'numeric' });
  const short = day => dayText(day - first, withYear(day - first));
  const named = stretches.slice(0, TOLD).map(ends => [...new Set(ends)].map(short).join(' to ')).join(', ');
  const left = stretches.slice(TOLD).reduce(days, 0);
  const missingText = !missing ? 'No day missing'
    : `${count(missing, 'day')} missing: ${named}${left ? ` and ${left.toLocaleString('en-US')} more` : ''}`;
  if (now < dueAt) return { missingText, sentence: '' };
  const [start, end] = [newest, today].map(day => new Date(day * DAY));
  const months = (end.getUTCFullYear() - start.getUTCFullYear()) * 12 + end.getUTCMonth() - start.getUTCMonth()
    - (end.getUTCDate() < start.getUTCDate() ? 1 : 0);
  const old = today - newest <= 60 ? count(today - newest, 'day') : months <= 35 ? `${months} months`
    : `${Math.floor(months / 12)} years`;
  return { missingText, sentence: `Data through ${full(newest)}, ${old} old: ${full(newest + 1)} has been due since ` +
    `${full(Math.floor(dueAt / DAY))}, ${new Date(dueAt).toISOString().slice(11, 16)} UTC; ` +
    `${count(missing, 'day')} ${missing === 1 ? 'is' : 'are'} missing up to ${full(yesterday)}` +
    `${earlier ? `, ${earlier.toLocaleString('en-US')} of them before ${full(newest)}` : ''}.` };
}
function showAge() {
  const { sentence, missingText } = ageAt(Date.now());
  byId('age').textContent = sentence;
  byId('age').hidden = !sentence;
  byId('missing').textContent = missingText;
}
if (data.age) {
  showAge();
  document.addEventListener('visibilitychange', showAge); // a page left open for days
}

