import type { EChartsOption } from 'echarts'
import { AXIS, chart, GRID, LEGEND, type ChartSize } from '../../scripts/report-chart.js'
import type { Html } from '../../scripts/report-page.js'
import { COLOURS, SERIES_COLOURS } from '../../scripts/report-palette.js'
import type { LatencyProfile } from '../jobs.js'
import type { ResultSeries } from '../result-document.js'
import { labelOf } from '../rows.js'
import { legendGrid, logAxis } from './shared.js'

/** Distributions are drawn against this: 90, 99, 99.9 ... at equal distances. */
const nines = (percentile: number): number => Math.log10(1 / (1 - Math.min(percentile, 99.995) / 100))
const NINES_TICKS = [0, 1, 2, 3, 4]
const NINES_LABELS = ['0', '90', '99', '99.9', '99.99']

/** One line a subject: latency against percentile, both logarithmic. */
export function distributionChart(label: string, latencies: ResultSeries['latencies']): Html {
  const ids = Object.keys(latencies)
  return chart({
    label,
    caption: 'Latency of single commits by percentile, last round. Each step to the right is ten times rarer.',
    option: ({ narrow }) => ({
      legend: LEGEND,
      grid: legendGrid(ids, narrow),
      xAxis: {
        ...AXIS,
        type: 'value',
        min: 0,
        max: nines(100),
        interval: 1,
        axisLabel: {
          ...AXIS.axisLabel,
          formatter: (value: number) => {
            const tick = NINES_TICKS.indexOf(value)
            return tick < 0 ? '' : `${NINES_LABELS[tick]} %`
          },
        },
      },
      yAxis: logAxis('us'),
      series: ids.map((id) => ({
        name: labelOf(id),
        type: 'line',
        showSymbol: false,
        data: latencies[id].percentiles.map(([percentile, us]) => [nines(percentile), us]),
      })),
    }),
  })
}

/** The longest latency of each stretch of time, with daxkv's checkpoints (dashed) and growths (dotted). */
export function timelineChart(label: string, id: string, profile: LatencyProfile): Html {
  const { checkpointsAtMs, growthsAtMs } = profile
  const marks = [
    checkpointsAtMs.length === 0 ? '' : `checkpoints: ${String(checkpointsAtMs.length)} (dashed)`,
    growthsAtMs.length === 0 ? '' : `growths of the file: ${String(growthsAtMs.length)} (dotted)`,
  ].filter((text) => text !== '')
  return chart({
    label,
    caption: `${labelOf(id)}: the longest commit of each stretch of the last round${marks.length === 0 ? '' : `; ${marks.join(', ')}`}.`,
    option: (size) => timelineOption(profile, size),
  })
}

export function timelineOption(
  { timeline, checkpointsAtMs, growthsAtMs }: LatencyProfile,
  { narrow }: Pick<ChartSize, 'narrow'>,
): EChartsOption {
  const line = (atMs: number, type: 'dashed' | 'dotted', color: string): object => ({
    xAxis: atMs,
    lineStyle: { type, color, width: 1.2 },
  })
  return {
    grid: { ...GRID, top: 30, right: 24, bottom: 26 },
    xAxis: {
      ...AXIS,
      type: 'value',
      name: 'ms since the start',
      nameLocation: 'middle',
      nameGap: 26,
      max: timeline.at(-1)?.[0] ?? 1,
      axisLabel: {
        ...AXIS.axisLabel,
        showMaxLabel: false,
        formatter: (value: number) => value.toLocaleString('en-US'),
      },
      ...(narrow ? { splitNumber: 3 } : {}),
    },
    yAxis: logAxis('us'),
    series: [
      {
        type: 'bar',
        barWidth: narrow ? 1 : 2,
        itemStyle: { color: SERIES_COLOURS[0] },
        data: timeline.map(([ms, us]) => [ms, us]),
        markLine: {
          symbol: 'none',
          label: { show: false },
          data: [
            ...checkpointsAtMs.map((ms) => line(ms, 'dashed', COLOURS.series2)),
            ...growthsAtMs.map((ms) => line(ms, 'dotted', COLOURS.series4)),
          ] as { xAxis: number }[],
        },
      },
    ],
  }
}
