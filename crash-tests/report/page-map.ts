import { html, type Html } from '../../scripts/report-page.js'
import { LINES_PER_PAGE, PAGE_BYTES } from '../../src/pmem/program.js'
import { pageRole, type PageRole } from './page-role.js'

/** A crash image of a failure, and what of it is not as it should be. */
export interface PageMapData {
  readonly image: Uint8Array
  /** Lines that were not in their newest version. */
  readonly stale: readonly { readonly pageId: number; readonly line: number }[]
}

const COLOURS: Readonly<Record<PageRole, string>> = {
  identity: 'series5',
  anchor: 'series2',
  root: 'series4',
  log: 'series6',
  bitmap: 'series3',
  branch: 'series7',
  leaf: 'series1',
  other: 'grid',
}
const CELL = 26
const GAP = 4
const LINE_CELL = 11

/** Lines named in the description of a crash, such as `line 7:3 holds torn version 1 of 2`. */
export function staleLinesIn(where: string): PageMapData['stale'] {
  const lines: { pageId: number; line: number }[] = []
  for (const [, page, line] of where.matchAll(/\b(?:line|page) (\d+)(?::(\d+))? holds/g)) {
    if ((line as string | undefined) !== undefined) lines.push({ pageId: Number(page), line: Number(line) })
    else for (let each = 0; each < LINES_PER_PAGE; each++) lines.push({ pageId: Number(page), line: each })
  }
  return lines
}

/** All pages of the image as squares, coloured by what they are for; below, each touched page with its 64 lines. */
export function pageMap({ image, stale }: PageMapData): Html {
  const pages = Math.floor(image.length / PAGE_BYTES)
  const touched = new Map<number, Set<number>>()
  for (const { pageId, line } of stale) touched.set(pageId, (touched.get(pageId) ?? new Set()).add(line))
  const roles = Array.from({ length: pages }, (_, page) => pageRole(image, page))
  const used = new Set(roles)
  return html`<figure>
    <div class="pages">${roles.map((role, page) => pageCell(page, role, touched.get(page)?.size ?? 0))}</div>
    <p class="legend">
      ${[...used].map((role) => html`<span><i style="background:var(--${COLOURS[role]})"></i>${role}</span>`)}
      <span><i class="stale"></i>holds lines that are not in their newest version</span>
    </p>
    ${[...touched].map(([page, lines]) => lineStrip(page, roles[page] ?? 'other', lines))}
    <figcaption>
      Each square is a page of 4096 bytes, in the order of the file; each strip is one of these pages with its 64 lines
      of 64 bytes.
    </figcaption>
  </figure>`
}

function pageCell(page: number, role: PageRole, stale: number): Html {
  const title = `page ${page}, ${role}${stale > 0 ? `, ${stale} lines not in their newest version` : ''}`
  return html`<svg width="${CELL}" height="${CELL}" viewBox="0 0 ${CELL} ${CELL}" role="img" aria-label="${title}">
    <title>${title}</title>
    <rect x="1" y="1" width="${CELL - 2}" height="${CELL - 2}" rx="3" fill="var(--${COLOURS[role]})" />
    ${
      stale > 0 &&
      html`<rect
          x="2"
          y="2"
          width="${CELL - 4}"
          height="${CELL - 4}"
          rx="2"
          fill="none"
          stroke="var(--bad)"
          stroke-width="4"
        />
        <rect x="8" y="8" width="${CELL - 16}" height="${CELL - 16}" fill="var(--page)" />`
    }
  </svg>`
}

function lineStrip(page: number, role: PageRole, stale: ReadonlySet<number>): Html {
  const width = (LINES_PER_PAGE / 2) * LINE_CELL
  const cells = Array.from({ length: LINES_PER_PAGE }, (_, line) => {
    const [x, y] = [(line % 32) * LINE_CELL, line < 32 ? 0 : LINE_CELL]
    const fill = stale.has(line) ? 'bad' : COLOURS[role]
    return html`<rect x="${x}" y="${y}" width="${LINE_CELL - 2}" height="${LINE_CELL - 2}" fill="var(--${fill})"
      ><title>line ${line}</title></rect
    >`
  })
  const lines = [...stale].sort((left, right) => left - right)
  const named = lines.length > 12 ? `${lines.slice(0, 12).join(', ')} and ${lines.length - 12} more` : lines.join(', ')
  return html`<div class="strip">
    <svg
      width="${width}"
      height="${2 * LINE_CELL}"
      viewBox="0 0 ${width} ${2 * LINE_CELL}"
      role="img"
      aria-label="lines of page ${page}"
    >
      ${cells}
    </svg>
    <span>page ${page} (${role}): line ${named}</span>
  </div>`
}

/** Styles of the map, for the page that shows one. */
export const PAGE_MAP_STYLE = `
.pages{display:flex;flex-wrap:wrap;gap:${GAP}px}
.pages svg,.strip svg{flex:none}
figure .pages svg{width:${CELL}px;height:${CELL}px}
figure .strip svg{width:${(LINES_PER_PAGE / 2) * LINE_CELL}px;max-width:100%;height:auto}
.strip{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center;margin:8px 0;font-size:.875rem}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.875rem;margin:12px 0;max-width:none}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.legend i.stale{border:3px solid var(--bad);background:var(--page)}
`
