/**
 * Colours of the reports. Charts are drawn with the light ones; in the finished SVG each is replaced by a variable of the
 * page, so that one drawing serves both schemes. That is why no two entries may be equal.
 */
export const PALETTE = {
  fontFamily: 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif',
  /** Of charts: one name, without quotes, for use in attributes. */
  chartFontFamily: 'system-ui, sans-serif',
  light: {
    page: '#ffffff',
    panel: '#f4f6f8',
    text: '#1a1f26',
    muted: '#586270',
    line: '#d3d9e0',
    /** Lines of a chart's grid. */
    grid: '#e6eaef',
    link: '#0a58b8',
    good: '#19803d',
    bad: '#c62f2b',
    warn: '#b26a02',
    series1: '#2f6fcb',
    series2: '#d97a15',
    series3: '#2a9168',
    series4: '#a5489c',
    series5: '#7a6a16',
    series6: '#1b96ab',
    series7: '#c24a66',
    series8: '#6b7684',
  },
  dark: {
    page: '#14181d',
    panel: '#1e242b',
    text: '#e5e9ee',
    muted: '#9ba6b3',
    line: '#38414b',
    grid: '#2a323a',
    link: '#77b0ff',
    good: '#4cc27a',
    bad: '#ff7b72',
    warn: '#e3a23d',
    series1: '#6aa3f5',
    series2: '#f0a04b',
    series3: '#55c79a',
    series4: '#d583cc',
    series5: '#c9b54c',
    series6: '#4fc6da',
    series7: '#f08299',
    series8: '#98a4b2',
  },
} as const

export type ColourName = keyof typeof PALETTE.light

/** Colours for use in chart options. */
export const COLOURS: Readonly<Record<ColourName, string>> = PALETTE.light

/** In the order in which series take them. */
export const SERIES_COLOURS: readonly string[] = [
  COLOURS.series1,
  COLOURS.series2,
  COLOURS.series3,
  COLOURS.series4,
  COLOURS.series5,
  COLOURS.series6,
  COLOURS.series7,
  COLOURS.series8,
]

const NAMES = Object.keys(PALETTE.light) as ColourName[]

/** Variables of both schemes. */
export function paletteCss(): string {
  const variables = (colours: Readonly<Record<ColourName, string>>): string =>
    NAMES.map((name) => `--${name}:${colours[name]}`).join(';')
  return `:root{${variables(PALETTE.light)}}\n@media (prefers-color-scheme:dark){:root{${variables(PALETTE.dark)}}}`
}

/** Replaces the colours of the palette in a drawing by the page's variables. */
export function withVariables(svg: string): string {
  const names = new Map<string, ColourName>(NAMES.map((name) => [PALETTE.light[name], name]))
  return svg.replace(/#[0-9a-f]{6}\b/g, (colour) => {
    const name = names.get(colour)
    return name === undefined ? colour : `var(--${name})`
  })
}
