/** What several charts look like. */
import type { EChartsOption } from 'echarts'
import { AXIS, GRID } from '../../scripts/report-chart.js'

/** A logarithmic axis of costs, named by its unit. */
export function logAxis(name: string): EChartsOption['yAxis'] & object {
  return {
    ...AXIS,
    type: 'log',
    name,
    axisLabel: { ...AXIS.axisLabel, formatter: (value: number) => value.toLocaleString('en-US') },
  }
}

/** A legend of several long names takes several lines on a phone. */
export function legendGrid(ids: readonly string[], narrow: boolean): typeof GRID | { readonly top: number } {
  return { ...GRID, top: narrow ? 34 + 22 * ids.length : 62 }
}
