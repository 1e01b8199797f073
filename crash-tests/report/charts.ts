import type { CustomSeriesRenderItem, EChartsOption } from 'echarts'
import { AXIS, chart, GRID, LEGEND } from '../../scripts/report-chart.js'
import type { Html } from '../../scripts/report-page.js'
import { grouped } from '../../scripts/report-page.js'
import { COLOURS, SERIES_COLOURS } from '../../scripts/report-palette.js'
import type { ModelReport } from '../src/report-data.js'
import type { Timeline, TimelineMark } from './timeline.js'

/** Images and distinct images by model, as bars. */
export function modelChart(models: readonly ModelReport[]): Html {
  const names = models.map(({ model }) => model).reverse()
  const bars = (name: string, of: (model: ModelReport) => number, narrow: boolean): object => ({
    name,
    type: 'bar',
    barGap: '10%',
    barMaxWidth: 22,
    label: {
      show: !narrow,
      position: 'right',
      color: COLOURS.text,
      formatter: ({ value }: { value: number }) => grouped(value),
    },
    data: models.map(of).reverse(),
  })
  return chart({
    label: `Crash images by model: ${models.map(({ model, images }) => `${model} ${images}`).join(', ')}`,
    height: (narrow) => 90 + models.length * (narrow ? 50 : 56),
    option: ({ narrow }) => ({
      legend: LEGEND,
      grid: { ...GRID, right: narrow ? 24 : 90 },
      yAxis: { ...AXIS, type: 'category', data: names },
      xAxis: {
        ...AXIS,
        type: 'value',
        splitNumber: narrow ? 3 : 6,
        axisLabel: { ...AXIS.axisLabel, formatter: shortNumber },
      },
      series: [
        bars('images made', ({ images }) => images, narrow),
        bars('distinct, recovered and checked', ({ distinctImages }) => distinctImages, narrow),
      ] as EChartsOption['series'] & object,
    }),
  })
}

function shortNumber(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`
  return value >= 1e3 ? `${value / 1e3} k` : String(value)
}

const ROW_PX = 22
const BARS_PX = 110
const ABOVE_PX = 40

/**
 * A commit from left to right: what it did to which line, and below it how many images a crash at each point may leave. A span
 * is a line that a crash may lose.
 */
export function timelineChart(timeline: Timeline): Html {
  const { lines, events, logging, title } = timeline
  const rowsPx = lines.length * ROW_PX
  return chart({
    label: `Timeline of ${title}, logging ${logging}: ${events} events on ${lines.length} lines`,
    caption: `${title}, logging ${logging}. Left to right: its ${events} events in program order; a row is a line of 64 bytes (page:line).`,
    height: (narrow) => ABOVE_PX + (narrow ? 30 : 0) + rowsPx + 30 + BARS_PX + 40,
    option: ({ narrow }) => {
      const left = 86
      const top = ABOVE_PX + (narrow ? 30 : 0)
      const x = { ...AXIS, type: 'value' as const, min: 0, max: events, minInterval: 1 }
      return {
        legend: { ...LEGEND, itemGap: narrow ? 16 : 22, data: LEGEND_NAMES },
        grid: [
          { left, right: 16, top, height: rowsPx },
          { left, right: 16, top: top + rowsPx + 30, height: BARS_PX },
        ],
        xAxis: [
          { ...x, gridIndex: 0, axisLabel: { show: false }, splitLine: { show: false } },
          {
            ...x,
            gridIndex: 1,
            splitLine: { show: false },
            name: narrow ? '' : 'events',
            nameLocation: 'middle',
            nameGap: 22,
          },
        ],
        yAxis: [
          {
            ...AXIS,
            gridIndex: 0,
            type: 'category',
            data: [...lines],
            inverse: true,
            axisTick: { show: false },
            splitLine: { show: true, lineStyle: { color: COLOURS.grid } },
          },
          {
            ...AXIS,
            gridIndex: 1,
            type: 'value',
            splitNumber: 2,
            axisLabel: { ...AXIS.axisLabel, formatter: shortNumber },
          },
        ],
        series: [...eventSeries(timeline, narrow), ...imageSeries(timeline)] as EChartsOption['series'] & object,
      }
    },
  })
}

const LEGEND_NAMES = ['may be lost', 'store', 'non-temporal', 'flush', 'cache-line', 'byte', 'page', 'kill']

/** An event stands in the middle between the points before and after it. */
function eventSeries(
  { events, inDanger, stores, nonTemporalStores, flushes, fences }: Timeline,
  narrow: boolean,
): object[] {
  const scatter = (
    name: string,
    symbol: string,
    colour: string,
    marks: readonly TimelineMark[],
    size: number,
  ): object => ({
    name,
    type: 'scatter',
    symbol,
    symbolSize: narrow ? size - 2 : size,
    itemStyle: { color: colour },
    data: marks.map(({ event, row }) => [event + 0.5, row]),
  })
  const span: CustomSeriesRenderItem = (_, api) => {
    const [fromX, y] = api.coord([api.value(0), api.value(2)])
    const [toX] = api.coord([api.value(1), api.value(2)])
    const shape = { x: fromX, y: y - 5, width: toX - fromX, height: 10, r: 3 }
    return { type: 'rect', shape, style: { fill: COLOURS.series2, opacity: 0.4 } }
  }
  return [
    {
      name: 'may be lost',
      type: 'custom',
      renderItem: span,
      itemStyle: { color: COLOURS.series2 },
      data: inDanger.map(({ row, from, to }) => [from + 0.5, Math.min(to + 0.5, events), row]),
      markLine: {
        symbol: 'none',
        lineStyle: { color: COLOURS.text, type: 'solid', width: 1.5 },
        label: { color: COLOURS.text, formatter: '{b}', fontSize: 12 },
        data: fences.map((event, index) => ({
          name: narrow ? `${index + 1}` : `fence ${index + 1}`,
          xAxis: event + 0.5,
        })),
      },
    },
    scatter('store', 'circle', COLOURS.series1, stores, 9),
    scatter('non-temporal', 'diamond', COLOURS.series4, nonTemporalStores, 11),
    scatter('flush', 'triangle', COLOURS.series3, flushes, 9),
  ]
}

const MODEL_COLOURS = {
  'cache-line': SERIES_COLOURS[5],
  byte: SERIES_COLOURS[4],
  page: SERIES_COLOURS[6],
  kill: SERIES_COLOURS[7],
}

function imageSeries({ images }: Timeline): object[] {
  return (Object.keys(MODEL_COLOURS) as (keyof typeof MODEL_COLOURS)[]).map((model) => ({
    name: model,
    type: 'bar',
    stack: 'images',
    xAxisIndex: 1,
    yAxisIndex: 1,
    barMaxWidth: 12,
    itemStyle: { color: MODEL_COLOURS[model] },
    data: (images[model] ?? []).map((count, point) => [point, count]),
  }))
}
