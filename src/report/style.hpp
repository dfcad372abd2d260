#pragma once
/// How a report looks: quiet, light and dark, on a desk and on a phone.
namespace relgrad::reporting {

inline constexpr const char* style = R"css(
:root {
  color-scheme: light dark;
  --page: #fcfcfa; --text: #22252a; --faint: #6a6f78; --rule: #dcdcd6; --chosen: #e9ebe6;
  --c0: #2a6fbb; --c1: #c8571f; --c2: #2b8a55; --c3: #8a55b0;
  --c4: #a87c0a; --c5: #c0406f; --c6: #2f8f95; --c7: #6b6b6b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #17191c; --text: #dfe1e4; --faint: #989da6; --rule: #34383e; --chosen: #2a2e34;
    --c0: #7ab2ef; --c1: #f0955f; --c2: #6fcb98; --c3: #c39be6;
    --c4: #dfb74a; --c5: #f08db2; --c6: #72d0d4; --c7: #aeb2b8;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem;
  background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.6rem; font-weight: 600; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 2.8rem 0 .8rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 1.4rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; }
.note, .axis, footer { color: var(--faint); font-size: .875rem; }
code { font: .875em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1rem 1.2rem; }
.tiles dt { color: var(--faint); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin-top: .8rem; }
.tight td { white-space: nowrap; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1.2rem .3rem 0; text-align: left; vertical-align: top; }
th { color: var(--faint); font-weight: 400; border-bottom: 1px solid var(--rule); }
td { border-bottom: 1px solid var(--rule); }
.number { text-align: right; white-space: nowrap; }
details { margin: .8rem 0; }
summary { color: var(--faint); font-size: .875rem; cursor: pointer; }
.curves { position: relative; }
.curves input { position: absolute; opacity: 0; }
.curves label {
  display: inline-block; padding: .15rem .8rem; margin-right: .3rem; font-size: .875rem;
  border: 1px solid var(--rule); border-radius: 1rem; cursor: pointer;
}
.curves input:checked + label { background: var(--chosen); border-color: var(--faint); }
.curves input:focus-visible + label { outline: 2px solid var(--c0); }
.gap { display: inline-block; width: .8rem; }
.chart { display: none; }
#bits:checked ~ #epochs:checked ~ .bits.epochs, #bits:checked ~ #seconds:checked ~ .bits.seconds,
#nats:checked ~ #epochs:checked ~ .nats.epochs, #nats:checked ~ #seconds:checked ~ .nats.seconds {
  display: block;
}
.legend { list-style: none; margin: 1rem 0 .8rem; padding: 0; font-size: .875rem; }
.legend li { display: inline-block; margin-right: 1.2rem; overflow-wrap: anywhere; }
.swatch {
  display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; border-radius: 2px;
  background: currentColor; vertical-align: -.05rem;
}
.swatch.wide { width: 1.4rem; height: 3px; vertical-align: .25rem; }
.swatch.narrow { width: 1.4rem; height: 1px; vertical-align: .25rem; }
.axis { margin: 0; }
.axis.right { text-align: right; margin-top: 1.6rem; }
.plot { position: relative; height: 21rem; margin: .4rem 0 0 3.8rem; border-bottom: 1px solid var(--faint); }
.plot svg { position: absolute; width: 100%; height: 100%; }
.plot path { fill: none; stroke: currentColor; vector-effect: non-scaling-stroke; }
.plot .line { stroke-width: 2; stroke-linejoin: round; }
.plot .thin { stroke-width: 1; opacity: .7; }
.plot .bar { stroke-width: 1.5; }
.plot .dot { stroke-width: 7; stroke-linecap: round; overflow: visible; }
.plot .grid { stroke: var(--rule); stroke-width: 1; }
.plot span { position: absolute; color: var(--faint); font-size: .8rem; font-variant-numeric: tabular-nums; }
.plot .y { right: 100%; transform: translate(-.5rem, -50%); }
.plot .x { top: 100%; transform: translate(-50%, .2rem); }
.pictures { display: flex; flex-wrap: wrap; gap: 1.2rem; }
.pictures figure { margin: 0; max-width: 100%; }
.pictures img { display: block; max-width: min(100%, 17rem); image-rendering: pixelated; }
.pictures figcaption { color: var(--faint); font-size: .8rem; margin-top: .3rem; }
.stack { display: flex; height: 1.4rem; margin: .2rem 0 1rem; }
.stack span { border-right: 1px solid var(--page); background: currentColor; }
.colour0, .part0 { color: var(--c0); } .colour1, .part1 { color: var(--c1); }
.colour2, .part2 { color: var(--c2); } .colour3, .part3 { color: var(--c3); }
.colour4, .part4 { color: var(--c4); } .colour5, .part5 { color: var(--c5); }
.colour6, .part6 { color: var(--c7); } .colour7 { color: var(--c6); }
footer { margin-top: 3rem; }
@media (max-width: 40rem) {
  .plot { height: 15rem; margin-left: 3.2rem; }
  td:first-child { min-width: 8rem; }
  .tight td:first-child { min-width: 0; }
  .pictures figure { width: calc(50% - .6rem); }
  .pictures img { width: 100%; }
}
@media print { .curves label, .gap { display: none; } }
)css";

}  // namespace relgrad::reporting
