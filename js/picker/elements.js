// Small helpers for the page's elements.

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

export function button(className, label, title, onClick) {
  const element = make("button", className, label);
  element.type = "button";
  element.title = title;
  element.setAttribute("aria-label", title);
  element.addEventListener("click", onClick);
  return element;
}

export const stylesheet = make("link", "");
stylesheet.rel = "stylesheet";
stylesheet.href = new URL("./picker.css", import.meta.url).href;

// Which candidate a key leads to from `current`, or null. `columns`: of the grid that is shown.
export function keyTarget(event, current, count, columns) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const target = /^[0-9]$/.test(event.key) ? Number(event.key) : current + steps[event.key];
  return target >= 0 && target < count ? target : null;
}
