/**
 * The chrome of every HTML report of this project: one page that needs nothing but itself (no script, no font, no request),
 * readable on a wide and on a narrow screen, dark and light. The reports say what is in it; see also `report-chart.ts`.
 */
import { PALETTE, paletteCss } from './report-palette.js'

/** Markup that is known to be safe. Made by `html`, which escapes everything else. */
export class Html {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text
  }
}

/** What may stand in a `html` template. `undefined` and `false` leave nothing. */
export type HtmlPart = Html | string | number | false | undefined | readonly HtmlPart[]

/**
 * Template tag: what is put in is escaped unless it is markup itself; lists are joined.
 *
 *     html`<p>${userText}</p>${rows.map((row) => html`<li>${row}</li>`)}`
 */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(strings.map((text, index) => text + (index < parts.length ? rendered(parts[index]) : '')).join(''))
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function rendered(part: HtmlPart): string {
  if (part === undefined || part === false) return ''
  if (part instanceof Html) return part.text
  if (typeof part === 'object') return part.map(rendered).join('')
  return escapeHtml(String(part))
}

export interface ReportSection {
  /** For links to it; letters, digits and hyphens. */
  readonly id: string
  readonly title: string
  /** What it shows and how to read it, in a sentence or two. */
  readonly lead?: HtmlPart
  readonly body: HtmlPart
}

export interface ReportPage {
  readonly title: string
  /** What the page shows, in a sentence or two. */
  readonly lead: HtmlPart
  /** When, where and by which command it was made. */
  readonly facts: readonly (readonly [name: string, value: HtmlPart])[]
  readonly sections: readonly ReportSection[]
  /** More CSS, for what only this report has. */
  readonly style?: string
}

/** The whole page, to be written to a file as it is. */
export function renderPage({ title, lead, facts, sections, style = '' }: ReportPage): string {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        />
        <link rel="icon" href="data:," />
        <title>${title}</title>
        <style>
          ${new Html(paletteCss() + STYLE + style)}
        </style>
      </head>
      <body>
        <header>
          <h1>${title}</h1>
          <p class="lead">${lead}</p>
          <dl class="facts">
            ${facts.map(
              ([name, value]) =>
                html`<div>
                  <dt>${name}</dt>
                  <dd>${value}</dd>
                </div>`,
            )}
          </dl>
          <nav aria-label="Sections">
            ${sections.map((section) => html`<a href="#${section.id}">${section.title}</a>`)}
          </nav>
        </header>
        <main>
          ${sections.map(
            ({ id, title: heading, lead: text, body }) =>
              html`<section id="${id}">
                <h2>${heading}</h2>
                ${text === undefined ? undefined : html`<p class="note">${text}</p>`} ${body}
              </section> `,
          )}
        </main>
      </body>
    </html> `
  return page.text
}

/** `good`, `bad` and `warn` have colours of their own; they are never the only sign of what is meant. */
export type Tone = 'good' | 'bad' | 'warn' | 'plain'

export interface Figure {
  readonly value: HtmlPart
  readonly label: HtmlPart
  readonly tone?: Tone
}

/** The few numbers that matter, large. */
export function figures(list: readonly Figure[]): Html {
  return html`<div class="figures">
    ${list.map(
      ({ value, label, tone = 'plain' }) =>
        html`<div class="figure ${tone}"><strong>${value}</strong><span>${label}</span></div>`,
    )}
  </div>`
}

export interface Column {
  readonly title: HtmlPart
  /** Numbers stand to the right. Default `left`. */
  readonly align?: 'left' | 'right'
  /** Code: not broken into lines, in a fixed-width font. Default false. */
  readonly code?: boolean
}

/** A table that scrolls in itself where the screen is too narrow. */
export function table(columns: readonly Column[], rows: readonly (readonly HtmlPart[])[], caption?: string): Html {
  const kind = ({ align = 'left', code = false }: Column): string => (code ? `${align} code` : align)
  const cell = (column: Column, content: HtmlPart): Html => html`<td class="${kind(column)}">${content}</td>`
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption ?? 'table'}">
    <table>
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col" class="${kind(column)}">${column.title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${columns.map((column, index) => cell(column, row[index]))}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`
}

/** A word with a coloured edge: `caught`, `missed`. */
export function badge(tone: Tone, text: string): Html {
  return html`<span class="badge ${tone}">${text}</span>`
}

/** Folded away until somebody asks. */
export function details(summary: HtmlPart, body: HtmlPart, open = false): Html {
  return html`<details${new Html(open ? ' open' : '')}><summary>${summary}</summary>${body}</details>`
}

/** Text with its own line breaks, such as a message or a command. */
export function preformatted(text: string): Html {
  return html`<pre class="scroll" tabindex="0">${text}</pre>`
}

/** 1234567 as 1,234,567. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 1 })
}

/** Below this the narrow form of a chart is shown. */
export const NARROW_PX = 700

const STYLE = `
*{box-sizing:border-box}
html{font:16px/1.5 ${PALETTE.fontFamily};color:var(--text);background:var(--page);-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1160px;padding:0 20px 80px}
h1{font-size:1.75rem;line-height:1.2;margin:40px 0 8px}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 8px}
h3{font-size:1rem;margin:24px 0 8px}
p{margin:0 0 12px;max-width:78ch}
a{color:var(--link)}
.lead{font-size:1.05rem}
.note,.muted,figcaption,dt,.figure span{color:var(--muted)}
section{margin-top:48px;padding-top:20px;border-top:1px solid var(--line)}
.facts{display:flex;flex-wrap:wrap;gap:4px 28px;margin:0 0 16px;font-size:.875rem}
.facts div{display:flex;gap:8px;min-width:0}
.facts dd{margin:0;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:.9375rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:16px 0}
.figure{background:var(--panel);border-left:4px solid var(--line);border-radius:6px;padding:12px 14px;min-width:0}
.figure strong{display:block;font-size:1.375rem;line-height:1.2;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.figure span{font-size:.8125rem}
.figure.good{border-color:var(--good)}.figure.bad{border-color:var(--bad)}.figure.warn{border-color:var(--warn)}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.875rem;min-width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;text-align:left}
th{color:var(--muted);font-weight:600;white-space:nowrap}
td.left{min-width:6.5rem}
td.right,th.right{text-align:right;white-space:nowrap}
code,pre,td.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.8125rem}
td.code{white-space:nowrap}
pre{background:var(--panel);border-radius:6px;padding:12px 14px;margin:0 0 12px}
.badge{display:inline-block;border-left:4px solid var(--line);background:var(--panel);border-radius:4px;padding:0 8px;white-space:nowrap}
.badge.good{border-color:var(--good)}.badge.bad{border-color:var(--bad)}.badge.warn{border-color:var(--warn)}
details{margin:8px 0}
summary{cursor:pointer}
figure{margin:16px 0}
figcaption{font-size:.875rem;margin-top:4px;max-width:90ch}
figure svg{display:block;width:100%;height:auto}
.narrow{display:none}
@media (max-width:${NARROW_PX}px){
body{padding:0 16px 60px}
h1{font-size:1.5rem;margin-top:24px}
.wide{display:none}.narrow{display:block}
.figures{grid-template-columns:repeat(2,minmax(0,1fr))}
section{margin-top:36px}
}
@media print{body{max-width:none}.scroll{overflow:visible}}
`
