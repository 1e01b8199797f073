/** Charts of the reports, drawn by echarts on this side and put into the page as SVG. */
import * as echarts from 'echarts'
import type { EChartsOption, SeriesOption } from 'echarts'
import { COLOURS, PALETTE, SERIES_COLOURS, withVariables } from './report-palette.js'
import { html, Html } from './report-page.js'

/** Pixels of a drawing; text has its size at this scale. */
export interface ChartSize {
  readonly width: number
  readonly height: number
  /** True for phones: fewer ticks, shorter labels. */
  readonly narrow: boolean
}

export interface ChartOptions {
  /** What it shows, for those who cannot see it. */
  readonly label: string
  /** Line below it. */
  readonly caption?: Html | string
  /** Called once for wide and once for narrow screens. */
  readonly option: (size: ChartSize) => EChartsOption
  /** Height in pixels at both widths, or of each. Default 320 and 300. */
  readonly height?: number | ((narrow: boolean) => number)
}

const WIDTHS = { wide: 1120, narrow: 358 } as const

/** A figure with the chart drawn twice: scaling one drawing to a phone would leave text nobody can read. */
export function chart({ label, caption, option, height }: ChartOptions): Html {
  const drawings = (['wide', 'narrow'] as const).map((kind) => {
    const narrow = kind === 'narrow'
    const size: ChartSize = { width: WIDTHS[kind], height: heightOf(height, narrow), narrow }
    return html`<div class="${kind}" role="img" aria-label="${label}">${drawChart(option(size), size)}</div>`
  })
  return html`<figure>
    ${drawings}${caption === undefined ? undefined : html`<figcaption>${caption}</figcaption>`}
  </figure>`
}

function heightOf(height: ChartOptions['height'], narrow: boolean): number {
  if (typeof height === 'function') return height(narrow)
  return height ?? (narrow ? 300 : 320)
}

/** One drawing. Nothing moves and nothing can be pointed at: it is a picture. */
export function drawChart(option: EChartsOption, { width, height }: ChartSize): Html {
  const instance = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    instance.setOption({
      animation: false,
      color: [...SERIES_COLOURS],
      ...option,
      textStyle: { fontFamily: PALETTE.chartFontFamily, color: COLOURS.text, fontSize: 12 },
      series: still(option.series),
    })
    return new Html(withVariables(onlyPicture(instance.renderToSVGString({ useViewBox: true }))))
  } finally {
    instance.dispose()
  }
}

/** Leaves out what is there for a pointer only, about a third of the text. */
function onlyPicture(svg: string): string {
  return svg
    .replace(/<style >.*?<\/style>/gs, '')
    .replace(/ (?:class="zr\d+-cls-\d+"|ecmeta_\w+="[^"]*"|pointer-events="visible")/g, '')
}

function still(series: EChartsOption['series']): SeriesOption[] {
  const list = series === undefined ? [] : Array.isArray(series) ? series : [series]
  return list.map((one) => ({ ...one, silent: true }))
}

/** Looks shared by the axes of all charts; spread them into an axis. */
export const AXIS = {
  axisLine: { lineStyle: { color: COLOURS.line } },
  axisTick: { lineStyle: { color: COLOURS.line } },
  axisLabel: { color: COLOURS.muted, fontSize: 12 },
  nameTextStyle: { color: COLOURS.muted, fontSize: 12 },
  splitLine: { lineStyle: { color: COLOURS.grid } },
} as const

/** The look of all legends. */
export const LEGEND = {
  textStyle: { color: COLOURS.text, fontSize: 12 },
  itemWidth: 12,
  itemHeight: 12,
  itemGap: 22,
  left: 0,
  top: 0,
} as const

/** Room for a legend above and for the labels of both axes, which are measured a little too small. */
export const GRID = { left: 10, right: 14, top: 40, bottom: 10, containLabel: true } as const
