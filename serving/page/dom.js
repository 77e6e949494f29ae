/** Makes elements. Text is always put in as text, so nothing that a user or the service sends is read as markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element. Of the properties, `class` and everything with a hyphen are attributes, functions are listeners
 * (`click`, `input`), `null` and `undefined` are left out, and the rest is set on the element.
 */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key === "class" || key === "role" || key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return an SVG element; every property is an attribute. */
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Return what a screen reader says and nobody sees. */
export function spoken(text) {
  return element("span", { class: "spoken" }, text);
}

/** Return the element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Show or hide elements. */
export function show(shown, ...elements) {
  for (const one of elements) one.hidden = !shown;
}
