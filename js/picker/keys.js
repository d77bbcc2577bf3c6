// Which candidate a key leads to from `current`, or null. `columns`: of the grid that is shown.
export function keyTarget(event, current, count, columns) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const target = /^[0-9]$/.test(event.key) ? Number(event.key) : current + steps[event.key];
  return target >= 0 && target < count ? target : null;
}
