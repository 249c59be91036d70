"""Style sheet of the HTML page, without external fonts or files.

Tables and figures that are wider than the window scroll in a box; the page does not scroll
horizontally.
"""

CSS = """
:root {
  color-scheme: light;
  --ink: #1d2329; --soft: #59636e; --line: #d9dee3; --wash: #f5f7f9; --link: #00609b;
  --before: #b34700; --after: #00609b;
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
.page { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: 0 0 .9rem; max-width: 46rem; }
a { color: var(--link); }
section { margin-top: 2.5rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
.about { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; }
.about dt { color: var(--soft); }
.about dd { margin: 0; overflow-wrap: anywhere; }
.facts { display: grid; gap: .75rem; margin: 1.5rem 0 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
.facts li { background: var(--wash); border: 1px solid var(--line); border-radius: 8px;
  padding: .7rem .9rem; }
.facts .label { display: block; font-size: .9rem; color: var(--soft); }
.facts .value { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums;
  white-space: nowrap; line-height: 1.4; }
.facts .hint { display: block; font-size: .85rem; color: var(--soft); line-height: 1.4; }
.before { color: var(--before); }
.after { color: var(--after); font-weight: 600; }
nav { margin-top: 1.5rem; font-size: .95rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0; padding: 0;
  list-style: none; }
/* A shadow at an edge shows that the content continues. */
.scroll { background: linear-gradient(90deg, #fff 50%, transparent) 0 0 / 2.5rem 100%,
    linear-gradient(270deg, #fff 50%, transparent) 100% 0 / 2.5rem 100%,
    linear-gradient(90deg, #0003, transparent) 0 0 / .8rem 100%,
    linear-gradient(270deg, #0003, transparent) 100% 0 / .8rem 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll;
  overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
.scroll:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
.caption { font-weight: 600; margin: 1.5rem 0 .4rem; max-width: 46rem; }
th, td { padding: .4rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { font-weight: 600; vertical-align: bottom; }
.left { text-align: left; }
tbody th { font-weight: 500; text-align: left; }
thead th:first-child, tbody th { position: sticky; left: 0; background: #fff; }
td.best { font-weight: 700; }
.note { font-size: .88rem; color: var(--soft); margin: .4rem 0 0; }
figure { margin: 1.5rem 0 0; }
figure .scroll { padding: .5rem; }
figure img { display: block; width: 100%; height: auto; margin: 0 auto; }
figcaption { font-size: .92rem; color: var(--soft); margin-top: .4rem; max-width: 46rem; }
details { margin-top: 1.25rem; }
summary { cursor: pointer; font-weight: 600; color: var(--link); }
.query { border-left: 3px solid var(--line); padding: .1rem 0 .1rem .9rem; margin: 1.1rem 0 0; }
.query > p { font-weight: 600; margin: 0 0 .3rem; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: .25rem 1.5rem; }
.sides ol { margin: 0; padding: 0; list-style: none; font-size: .93rem; }
.sides h4 { margin: 0; font-size: .85rem; }
.sides li { display: grid; grid-template-columns: 3rem 1fr; line-height: 1.4; padding: .12rem 0; }
.sides li span { color: var(--soft); font-variant-numeric: tabular-nums; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: .88rem; color: var(--soft); }
footer p { max-width: none; overflow-wrap: anywhere; }
code { font: .92em/1.5 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
@media (max-width: 40rem) {
  .page { padding: 1.25rem 1rem 2rem; }
  h1 { font-size: 1.5rem; }
  .about, .sides { grid-template-columns: 1fr; }
  .about { gap: 0; }
  .about dd { margin-bottom: .35rem; }
  .sides h4 { margin-top: .35rem; }
  th, td { padding: .35rem .55rem; }
}
@media print {
  .scroll { overflow: visible; }
  section { break-inside: avoid-page; }
}
"""
