import { AXIS, chart, LEGEND } from '../../scripts/report-chart.js'
import type { Html } from '../../scripts/report-page.js'
import type { ResultSeries } from '../result-document.js'
import { labelOf } from '../rows.js'
import { median } from '../statistics.js'
import type { Unit } from '../workload.js'
import { legendGrid } from './shared.js'

interface SizeLine {
  readonly id: string
  /** Size and cost. */
  readonly points: readonly (readonly [number, number])[]
}

/** Costs by size of a workload that measures several sizes. */
export function sizeLines({ subjects }: ResultSeries): SizeLine[] {
  return Object.entries(subjects).flatMap(([id, metrics]) => {
    const points = (Object.entries(metrics) as [string, readonly number[]][]).flatMap(
      ([metric, rounds]): [number, number][] => {
        const size = Number(metric.split('@').at(1) ?? NaN)
        return Number.isNaN(size) || rounds.length === 0 ? [] : [[size, median(rounds)]]
      },
    )
    return points.length === 0 ? [] : [{ id, points: points.sort(([a], [b]) => a - b) }]
  })
}

/** Cost against size, one line a subject. */
export function sizeChart(label: string, lines: readonly SizeLine[], unit: Unit, axis: string): Html {
  const ids = lines.map(({ id }) => id)
  return chart({
    label,
    caption: `Medians of the rounds. A flat line costs the same at every number of ${axis}.`,
    option: ({ narrow }) => ({
      legend: LEGEND,
      grid: { ...legendGrid(ids, narrow), bottom: 26 },
      xAxis: {
        ...AXIS,
        type: 'log',
        name: axis,
        nameLocation: 'middle',
        nameGap: 26,
        min: Math.min(...lines.flatMap(({ points }) => points.map(([size]) => size))),
        max: Math.max(...lines.flatMap(({ points }) => points.map(([size]) => size))),
        axisLabel: { ...AXIS.axisLabel, formatter: shortCount },
      },
      yAxis: { ...AXIS, type: 'value', name: unit, min: 0 },
      series: lines.map(({ id, points }) => ({
        name: labelOf(id),
        type: 'line',
        symbol: 'circle',
        symbolSize: 7,
        data: points.map(([size, cost]) => [size, cost]),
      })),
    }),
  })
}

/** 10000 as 10k, 10000000 as 10M. */
function shortCount(value: number): string {
  if (value >= 1e6) return `${String(value / 1e6)}M`
  return value >= 1e3 ? `${String(value / 1e3)}k` : String(value)
}
