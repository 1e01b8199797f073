import type { EChartsOption } from 'echarts'
import { AXIS, chart, GRID } from '../../scripts/report-chart.js'
import type { Html } from '../../scripts/report-page.js'
import { COLOURS } from '../../scripts/report-palette.js'
import type { Row } from '../rows.js'
import { figure } from '../table.js'

const ROW_HEIGHT_PX = 34
const NARROW_ROW_HEIGHT_PX = 66
const FRAME_HEIGHT_PX = 70
const BAR_WIDTH_PX = 14
/** Bars of how many times the peer costs, on a logarithmic axis; a thin line shows the interval, a mark the goal. */
export function ratioChart(label: string, rows: readonly Row[]): Html {
  const drawn = rows.filter(({ ratio }) => ratio?.quality === 'good')
  return chart({
    label,
    caption:
      'How many times the peer costs; at 1x both cost the same. Green: goal met, red: missed, grey: no goal. The thin line is the interval of the median, the diamond the goal. Ratios that are too noisy are left out.',
    height: (narrow) => FRAME_HEIGHT_PX + drawn.length * (narrow ? NARROW_ROW_HEIGHT_PX : ROW_HEIGHT_PX),
    option: ({ narrow }) => ratioOption(drawn, narrow),
  })
}

function ratioOption(rows: readonly Row[], narrow: boolean): EChartsOption {
  const ratios = rows.map(({ ratio }) => ratio ?? { median: 1, low: 1, high: 1 })
  const goals = rows.map(goalRatio)
  const all = [...ratios.flatMap(({ low, high }) => [low, high]), ...goals.filter((goal) => goal !== undefined), 1]
  const least = Math.min(...all) / 1.2
  const most = Math.max(...all) * 1.1
  return {
    // The width of broken labels is measured too small.
    grid: { ...GRID, top: 10, left: narrow ? 34 : 24, right: 16 },
    xAxis: {
      ...AXIS,
      type: 'log',
      logBase: narrow ? 4 : 2,
      min: least,
      max: most,
      axisLabel: {
        ...AXIS.axisLabel,
        hideOverlap: true,
        formatter: (value: number) => (value === least || value === most ? '' : `${shortRatio(value)}x`),
      },
    },
    yAxis: [
      {
        ...AXIS,
        type: 'category',
        inverse: true,
        data: rows.map((row) => barLabel(row, narrow)),
        axisLabel: {
          ...AXIS.axisLabel,
          color: COLOURS.text,
          lineHeight: 14,
          ...(narrow ? { width: 126, overflow: 'break' } : { width: 360, overflow: 'truncate' }),
        },
      },
      {
        // The ratios as text: beside the bars they would lie under the goals' marks.
        ...AXIS,
        type: 'category',
        position: 'right',
        inverse: true,
        axisTick: { show: false },
        axisLine: { show: false },
        data: ratios.map(({ median: value }) => `${figure(value)}x`),
        axisLabel: { ...AXIS.axisLabel, color: COLOURS.text },
      },
    ],
    series: [
      {
        type: 'bar',
        barWidth: BAR_WIDTH_PX,
        data: ratios.map(({ median: value }, index) => ({
          value,
          itemStyle: { color: colourOf(rows[index]) },
        })),
        markLine: {
          symbol: 'none',
          label: { show: false },
          lineStyle: { color: COLOURS.muted, type: 'solid' },
          data: [{ xAxis: 1 }],
        },
      },
      {
        type: 'custom',
        z: 3,
        data: ratios.map(({ low, high }, index) => [low, high, index]),
        renderItem: (_params, api) => {
          const [left, y] = api.coord([api.value(0), api.value(2)])
          const [right] = api.coord([api.value(1), api.value(2)])
          return {
            type: 'line',
            shape: { x1: left, y1: y, x2: right, y2: y },
            style: { stroke: COLOURS.text, lineWidth: 1.5 },
          }
        },
        encode: { x: [0, 1], y: 2 },
      },
      {
        type: 'scatter',
        symbol: 'diamond',
        symbolSize: 11,
        z: 4,
        itemStyle: { color: COLOURS.warn, borderColor: COLOURS.page, borderWidth: 1.5 },
        data: goals.flatMap((goal, index) => (goal === undefined ? [] : [[goal, index]])),
      },
    ],
  }
}

/** What is compared with what; daxkv's usual variants need no name. */
function barLabel({ title, subject, subjectLabel, peerLabel = '' }: Row, narrow: boolean): string {
  const usual = subject === 'daxkv' || subject === 'daxkv-detected'
  const ours = usual ? '' : `${shortLabel(subjectLabel)} `
  const theirs = `against ${shortLabel(peerLabel)}`
  return narrow ? `${title} ${ours}${theirs}` : `${title}\n${ours}${theirs}`
}

/** "daxkv (cache-line, forced, redo)" as "daxkv redo": a section of the page says what its stores lie on. */
function shortLabel(label: string): string {
  return label.replace(/\((?:cache-line, forced|as detected)(?:, )?(.*)\)/, '$1').trim()
}

/** 0.125, 0.5, 8 and 64 as they are. */
function shortRatio(value: number): string {
  return String(Number(value.toPrecision(3)))
}

function goalRatio({ goal }: Row): number | undefined {
  if (goal?.kind === 'ratio') return goal.atLeast
  return goal?.kind === 'multiple' ? 1 / goal.atMost : undefined
}

function colourOf({ goal, verdict }: Row): string {
  if (goal === undefined) return COLOURS.series8
  return verdict.startsWith('met') ? COLOURS.series3 : verdict.startsWith('MISSED') ? COLOURS.series7 : COLOURS.series8
}
