"""The look of the page: one style for light, dark and paper. Blue, orange and grey keep apart for every kind of sight."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--ink:#0b1118;--soft:#4a5563;--paper:#fff;--panel:#f3f6fa;--line:#d9e0e8;--accent:#1c4f8f;
--fail:#b34700;--fail-bg:#fdeee3;--pass:#0a5c8a;--pass-bg:#e5f1f9;--open:#4a5563;--open-bg:#eef1f5;--band:#0a5c8a1f}
@media (prefers-color-scheme:dark){:root{--ink:#e9eef4;--soft:#b4bfcc;--paper:#0f141b;--panel:#18202b;--line:#2b3644;
--accent:#8ab8f5;--fail:#ffa366;--fail-bg:#3a2413;--pass:#7cc4f2;--pass-bg:#12293a;--open:#b4bfcc;--open-bg:#222c38;
--band:#7cc4f226}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:2rem;line-height:1.2;margin:0 0 .35rem;letter-spacing:-.01em}
h2{font-size:1.35rem;margin:3rem 0 .75rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1.08rem;margin:2rem 0 .5rem}h4{font-size:.95rem;margin:1.25rem 0 .35rem;color:var(--soft)}
p,ul,ol{margin:.5rem 0}li{margin:.3rem 0}a{color:var(--accent)}
.meta,.note,figcaption{color:var(--soft);font-size:.9rem}.meta{margin:0}
.banner{margin:1.75rem 0;padding:1.25rem 1.5rem;border-radius:12px;border-left:6px solid var(--open);background:var(--open-bg)}
.banner.fail{border-color:var(--fail);background:var(--fail-bg)}.banner.pass{border-color:var(--pass);background:var(--pass-bg)}
.banner p{margin:.2rem 0}.banner .big{font-size:1.3rem;font-weight:650;line-height:1.35}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.25rem 0}
.tile{background:var(--panel);border-radius:10px;padding:.8rem 1rem}.tile b{display:block;font-size:1.6rem;line-height:1.2}
.tile span{color:var(--soft);font-size:.88rem}
.told{list-style:none;padding:0}.told li{display:grid;grid-template-columns:8rem 1fr;gap:.75rem;padding:.65rem 0;
border-bottom:1px solid var(--line)}
.chip{display:inline-block;padding:.1rem .6rem;border-radius:99px;font-size:.82rem;font-weight:600;white-space:nowrap;
align-self:start;justify-self:start;background:var(--open-bg);color:var(--open)}
.chip.fail{background:var(--fail-bg);color:var(--fail)}.chip.pass{background:var(--pass-bg);color:var(--pass)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.88rem;margin:.5rem 0}
caption{text-align:left;color:var(--soft);font-size:.88rem;padding:.25rem 0}
th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft)}thead th{border-bottom:2px solid var(--line);vertical-align:bottom}
th:first-child,td:first-child,.words td,.words th{text-align:left}tbody th{color:var(--ink);font-weight:500}
tbody th{min-width:7rem}td .note,td .chip{font-size:inherit}bdi,code{overflow-wrap:anywhere}
figure{margin:1rem 0}svg{display:block;width:100%;height:auto;font:13px system-ui,sans-serif;fill:var(--ink)}
.grid line,line.grid{stroke:var(--line);stroke-width:1}.zero{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:4 3}
.band{fill:var(--band)}.tick,.unit{fill:var(--soft);font-size:12px}
.bar{stroke-width:2.5;stroke-linecap:round}.dot{stroke-width:2}.way{fill:none;stroke:var(--soft);stroke-width:1.5}
.plain .bar,.plain .dot,.pass .bar,.pass .dot{stroke:var(--pass)}.plain .dot,.pass .dot{fill:var(--pass)}
.fail .bar,.fail .dot{stroke:var(--fail)}.fail .dot{fill:var(--fail)}
.inconclusive .bar,.inconclusive .dot{stroke:var(--open)}.dot.open{fill:var(--paper)}
.trends{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.25rem;font-size:.9rem}dt{color:var(--soft)}dd{margin:0}
code,pre{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--panel);padding:.75rem 1rem;border-radius:8px;white-space:pre-wrap;overflow-wrap:anywhere}
nav ol{columns:2;padding-left:1.2rem;font-size:.92rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
@media (max-width:40rem){.told li,dl{grid-template-columns:1fr}nav ol{columns:1}}
@media print{:root{color-scheme:light;--ink:#0b1118;--soft:#4a5563;--paper:#fff;--panel:#f3f6fa;--line:#d9e0e8;--fail:#b34700;
--fail-bg:#fdeee3;--pass:#0a5c8a;--pass-bg:#e5f1f9;--open:#4a5563;--open-bg:#eef1f5;--band:#0a5c8a1f}
body{font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none;padding:0}
nav{display:none}h2{break-after:avoid}h3,h4{break-after:avoid}figure,tr,.banner,.told li,.tile{break-inside:avoid}
#tested{break-before:page}.scroll{overflow:visible}table{font-size:8.5pt}th,td{padding:.25rem .4rem}}
@page{size:A4;margin:18mm 16mm}
"""
