// ---- elements: attributes and text, never markup

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
const breakable = path => path.split(/(?<=\/)/).flatMap((part, i) => i ? [make('wbr'), part] : [part]);
const swatch = tone => make('span', { class: `swatch ${tone}`, 'aria-hidden': 'true' });

