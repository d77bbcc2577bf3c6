// The loss curve on a canvas, in the colours that panel.css gives it.

const MARGIN = { left: 44, right: 8, top: 6, bottom: 18 }; // CSS pixels

function range(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

// The last line is dashed, so that one that runs below it stays to be seen.
const DASH = { unanchored: [6, 5] }; // CSS pixels

// [style, [[step, loss], ...]] of every line, the first at the back.
function linesOf(curve) {
  const at = (values) => values.map((value, i) => [curve.steps[i], value]);
  const heldOut = (key) => curve.held_out.map((point) => [point.step, point[key]]);
  return [
    ["raw", at(curve.loss)],
    ["smooth", at(curve.smooth)],
    ["anchored", heldOut("anchored")],
    ["unanchored", heldOut("unanchored")],
  ];
}

function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return { pen, width, height };
}

function drawLine(pen, points, color, dash = []) {
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = 2; // a whole pixel wherever it runs
  pen.setLineDash(dash);
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
  if (points.length < 30) for (const [x, y] of points) pen.fillRect(x - 1.5, y - 1.5, 3, 3);
}

function drawAxes(pen, width, height, [x0, x1], [y0, y1], color) {
  const { left, right, top, bottom } = MARGIN;
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = 1;
  pen.strokeRect(left, top, width - left - right, height - top - bottom);
  pen.font = "10px sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  pen.fillText(y1.toPrecision(3), left - 4, top + 5);
  pen.fillText(y0.toPrecision(3), left - 4, height - bottom - 5);
  pen.fillText(`${Math.round(x1)} steps`, width - right, height - bottom / 2);
  pen.textAlign = "left";
  pen.fillText(Math.round(x0), left, height - bottom / 2);
}

// `curve`: {steps, loss, smooth, held_out: [{step, anchored, unanchored}]}, steps rising.
export function drawCurve(canvas, curve) {
  const { pen, width, height } = prepared(canvas);
  const lines = linesOf(curve);
  const points = lines.flatMap(([, line]) => line);
  if (!points.length || !width || !height) return;
  const xs = range(points.map(([x]) => x));
  const ys = range(points.map(([, y]) => y));
  const { left, right, top, bottom } = MARGIN;
  const place = ([x, y]) => [
    left + ((x - xs[0]) / (xs[1] - xs[0])) * (width - left - right),
    height - bottom - ((y - ys[0]) / (ys[1] - ys[0])) * (height - top - bottom),
  ];
  const style = getComputedStyle(canvas);
  drawAxes(pen, width, height, xs, ys, style.color);
  for (const [name, line] of lines) {
    const color = style.getPropertyValue(`--fvg-training-${name}`);
    drawLine(pen, line.map(place), color, DASH[name]);
  }
}
