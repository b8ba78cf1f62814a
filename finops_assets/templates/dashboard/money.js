// ---- money: in 1e-6, rounded once, half to even, when shown

const two = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2 });
const short = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 2 });
function money(micros) {
  const size = Math.abs(micros);
  if (size > 0 && size < 5000) return micros > 0 ? '<0.01' : '>-0.01';
  let cents = Math.floor(size / 1e4);
  const rest = size - cents * 1e4;
  if (rest > 5000 || (rest === 5000 && cents % 2)) cents += 1;
  return (micros < 0 && cents ? '-' : '') + two.format(cents / 100);
}
const signed = micros => (micros >= 5000 ? '+' : '') + money(micros);
function percent(now, before) {
  if (!before) return now ? 'new' : '0.0 %';
  if (before < 0) return 'n/a';
  if (now > 10 * before) return now < 999.5 * before ? `${(now / before).toFixed(0)} x` : 'over 999 x';
  const change = (now - before) / before * 100;
  return `${change >= 0 ? '+' : ''}${change.toFixed(1)} %`;
}

