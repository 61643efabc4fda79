// Builds elements.  Text only ever becomes a text node or an attribute: no string is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element.  `attributes`: null and false are left out; `on`: listeners by event name. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element, likewise. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  const { on = {}, ...plain } = attributes;
  for (const [name, value] of Object.entries(plain)) setAttribute(element, name, value);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set an attribute where it differs; null and false remove it. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** Set an element's text where it differs, so that nothing is repainted or read out for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make `elements` the children of `list`, in order.  One that stays is not touched, so that it keeps the focus. */
export function arrange(list, elements) {
  const wanted = new Set(elements);
  [...list.children].filter((child) => !wanted.has(child)).forEach((child) => child.remove());
  elements.forEach((element, index) => {
    const present = list.children[index] ?? null;
    if (present !== element) list.insertBefore(element, present);
  });
}

/** Return a text that only a screen reader tells. */
export function unseen(text) {
  return h("span", { class: "unseen" }, text);
}

/** Return a function that calls `draw` once at the next frame, however often it is called before. */
export function coalesce(draw) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}
