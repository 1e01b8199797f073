import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { EChartsOption } from 'echarts'
import { AXIS, chart, drawChart, GRID, LEGEND } from '../../scripts/report-chart.js'
import { badge, details, figures, html, preformatted, renderPage, table } from '../../scripts/report-page.js'
import { PALETTE, SERIES_COLOURS } from '../../scripts/report-palette.js'
import { browserMissing, inspectReport, LOOKS, openBrowser } from '../support/report-browser.js'

const directory = mkdtempSync(join(tmpdir(), 'daxkv-report-page-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const bars = chart({
  label: 'two bars',
  caption: 'A chart.',
  option: () => ({
    legend: LEGEND,
    grid: GRID,
    xAxis: { ...AXIS, type: 'category', data: ['a', 'b'] },
    yAxis: { ...AXIS, type: 'value' },
    series: [
      { name: 'one', type: 'bar', data: [1, 2] },
      { name: 'two', type: 'bar', data: [2, 1] },
    ],
  }),
})

const page = renderPage({
  title: 'A <page>',
  lead: html`With <em>markup</em>.`,
  facts: [['Command', html`<code>npm test</code>`]],
  sections: [
    { id: 'chart', title: 'Chart', lead: 'Two bars.', body: [figures([{ value: 7, label: 'seven' }]), bars] },
    {
      id: 'table',
      title: 'Table',
      body: [
        table([{ title: 'a' }, { title: 'b', code: true }], [[badge('good', 'fine'), 'x'.repeat(400)]]),
        details('more', preformatted('y'.repeat(400)), true),
      ],
    },
  ],
})

describe('a report page', () => {
  it('escapes text and keeps markup', () => {
    assert.equal(
      html`<p>${'<b> & "c"'}${[1, html`<i>${'>'}</i>`]}${false}</p>`.text,
      '<p>&#60;b&#62; &#38; &#34;c&#34;1<i>&#62;</i></p>',
    )
    assert.ok(page.includes('<h1>A &#60;page&#62;</h1>'))
    assert.ok(page.includes('<em>markup</em>'))
  })

  it('names nothing outside itself', () => {
    assert.deepEqual(page.match(/(?:src|href)=(?!["']?(?:#|data:))|url\((?!#)|@import|<script/g), null)
  })

  it('takes the colours of its charts from the page, so that both schemes can show them', () => {
    assert.match(bars.text, /fill="var\(--series1\)"/)
    assert.doesNotMatch(bars.text, new RegExp(SERIES_COLOURS.join('|')))
    const light: string[] = Object.values(PALETTE.light)
    assert.equal(new Set(light).size, light.length, 'a colour is found again by its value')
  })

  it('draws the same chart twice', () => {
    const option: EChartsOption = {
      xAxis: { type: 'value' },
      yAxis: { type: 'value' },
      series: { type: 'line', data: [[0, 1]] },
    }
    const numbered = /zr\d+/g
    const size = { width: 100, height: 100, narrow: true }
    const [first, second] = [drawChart(option, size), drawChart(option, size)].map(({ text }) =>
      text.replace(numbered, ''),
    )
    assert.equal(first, second)
  })
})

describe('a report page in a browser', { skip: browserMissing() }, () => {
  it('is readable on wide and narrow screens, dark and light', async () => {
    const path = join(directory, 'page.html')
    writeFileSync(path, page)
    const browser = await openBrowser()
    try {
      for (const look of LOOKS) {
        const { contrast, smallestText, sections, ...faults } = await inspectReport(browser, path, look)
        assert.deepEqual(faults, { complaints: [], requests: [], overflowPx: 0, sticksOut: [], clipped: [], empty: [] })
        assert.deepEqual(sections, ['chart', 'table'])
        assert.ok(contrast.ratio >= 4.5, `contrast ${contrast.ratio} of "${contrast.text}"`)
        assert.ok(smallestText.px >= 11, `"${smallestText.text}" has ${smallestText.px} pixels`)
      }
    } finally {
      await browser.close()
    }
  })

  it('would be found empty, too wide, unreadable or loading something', async () => {
    const path = join(directory, 'bad.html')
    const bad = page
      .replace(/<meta http-equiv[^>]*>/, '')
      .replace(
        /(<section id="table">\s*<h2>Table<\/h2>)[^]*<\/section>/,
        '$1</section><section id="wide"><div style="width:2000px;color:#777;background:#888;font-size:7px">wide</div><img src="missing.png"></section>',
      )
    writeFileSync(path, bad)
    const browser = await openBrowser()
    try {
      const found = await inspectReport(browser, path, LOOKS[0])
      assert.deepEqual(found.empty, ['table'])
      assert.ok(found.overflowPx > 500)
      assert.ok(found.sticksOut.includes('div'))
      assert.ok(found.contrast.ratio < 4.5)
      assert.equal(Math.round(found.smallestText.px), 7)
      assert.equal(found.requests.length, 1)
      assert.notDeepEqual(found.complaints, [])
    } finally {
      await browser.close()
    }
  })
})
