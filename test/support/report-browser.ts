/** Looks at an HTML report with a headless browser. */
import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'puppeteer-core'
import { launch } from 'puppeteer-core'

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The installed browser, or undefined where there is none. `DAXKV_CHROMIUM` names another one. */
export function findBrowser(): string | undefined {
  return [process.env['DAXKV_CHROMIUM'], ...BROWSERS].find((path) => path !== undefined && existsSync(path))
}

/** For the `skip` option of a test: false, or why it cannot run. */
export function browserMissing(): string | false {
  return findBrowser() === undefined ? 'no Chromium found (Debian: apt-get install chromium)' : false
}

export async function openBrowser(): Promise<Browser> {
  const executablePath = findBrowser()
  if (executablePath === undefined) throw new Error(String(browserMissing()))
  // Containers run tests as root, where the sandbox refuses to start; the page is our own.
  return await launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu'] })
}

export interface PageLook {
  readonly widthPx: 1280 | 390
  readonly scheme: 'light' | 'dark'
}

/** Every way of looking at a report that must be readable. */
export const LOOKS: readonly PageLook[] = [
  { widthPx: 1280, scheme: 'light' },
  { widthPx: 1280, scheme: 'dark' },
  { widthPx: 390, scheme: 'light' },
  { widthPx: 390, scheme: 'dark' },
]

export interface PageFindings {
  /** Errors and warnings of the console, uncaught exceptions. */
  readonly complaints: readonly string[]
  /** Requests other than the one for the file itself. */
  readonly requests: readonly string[]
  /** How far the page is wider than the window, in pixels. */
  readonly overflowPx: number
  /** Elements that stick out of the window without a scrolling element around them. */
  readonly sticksOut: readonly string[]
  /** Text of charts that is cut off at the edge of the drawing. */
  readonly clipped: readonly string[]
  /** Sections without text, or with a chart that has nothing drawn in it; by id. */
  readonly empty: readonly string[]
  /** Ids of all sections. */
  readonly sections: readonly string[]
  /** Least contrast of text with the page behind it, as WCAG counts it (4.5 is asked for), and whose it is. */
  readonly contrast: { readonly ratio: number; readonly text: string }
  /** Smallest text that is shown, in pixels after scaling, and what it says. */
  readonly smallestText: { readonly px: number; readonly text: string }
}

/** Opens the file as the look says, and finds what is wrong with it. With `screenshot`, also draws it into that file. */
export async function inspectReport(
  browser: Browser,
  path: string,
  { widthPx, scheme }: PageLook,
  screenshot?: `${string}.png`,
): Promise<PageFindings> {
  const page = await browser.newPage()
  try {
    const complaints: string[] = []
    const requests: string[] = []
    const url = pathToFileURL(path).href
    page.on('console', (message) => {
      if (['error', 'warn'].includes(message.type())) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('request', (request) => {
      if (request.url() !== url && !request.url().startsWith('data:')) requests.push(request.url())
    })
    await page.setViewport({ width: widthPx, height: 900 })
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
    await page.goto(url, { waitUntil: 'networkidle0' })
    const look = await lookAt(page)
    if (screenshot !== undefined) await page.screenshot({ path: screenshot, fullPage: true })
    return { complaints, requests, ...look }
  } finally {
    await page.close()
  }
}

type Look = Omit<PageFindings, 'complaints' | 'requests'>

/** Runs in the page, as text: its types are the browser's, which this repository does not compile with. */
async function lookAt(page: Page): Promise<Look> {
  return (await page.evaluate(`(${LOOK})()`)) as Look
}

const LOOK = `() => {
  const shown = (element) => element.getClientRects().length > 0
  const name = (element) => element.tagName.toLowerCase() + (element.className ? '.' + String(element.className.baseVal ?? element.className) : '')
  const sections = [...document.querySelectorAll('main section')]
  const empty = sections.filter((section) => {
    const own = [...section.children].filter((child) => !['H2'].includes(child.tagName) && !child.classList.contains('note'))
    const text = own.map((child) => child.textContent).join('').trim()
    const charts = [...section.querySelectorAll('.wide svg, .narrow svg')].filter(shown)
    return text === '' || charts.some((svg) => svg.querySelectorAll('path,rect,circle,text').length < 3)
  }).map((section) => section.id)
  const width = document.documentElement.clientWidth
  const sticksOut = [...document.querySelectorAll('body *')].filter((element) =>
    shown(element) && !element.closest('.scroll, svg') && element.getBoundingClientRect().right > width + 1).map(name)
  const clipped = [...document.querySelectorAll('figure svg text')].filter((text) => {
    if (!shown(text)) return false
    const [box, frame] = [text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect()]
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 2
  }).map((text) => text.textContent)
  const rgb = (text) => { const parts = text.match(/[\\d.]+/g); return parts ? parts.map(Number) : [0, 0, 0, 0] }
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 })
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const backdrop = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor)
      if (colour.length < 4 || colour[3] > 0) return colour
    }
    return [255, 255, 255]
  }
  let contrast = { ratio: 99, text: '' }
  let smallestText = { px: 999, text: '' }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim()
    const element = walker.currentNode.parentElement
    if (text === '' || !shown(element) || element.closest('style')) continue
    const style = getComputedStyle(element)
    const svg = element.closest('svg')
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1
    const px = parseFloat(style.fontSize) * scale
    if (px < smallestText.px) smallestText = { px, text }
    const [a, b] = [luminance(rgb(svg ? style.fill : style.color)), luminance(backdrop(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    // Text in a chart may lie on a bar: only what lies on the page is judged.
    if (!(svg && element.closest('[data-on-fill]')) && ratio < contrast.ratio) contrast = { ratio, text }
  }
  return {
    overflowPx: Math.max(0, document.documentElement.scrollWidth - width),
    sticksOut, clipped, empty, sections: sections.map((section) => section.id), contrast, smallestText,
  }
}`
