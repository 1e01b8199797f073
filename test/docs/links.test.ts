import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { allDocuments, root } from './markdown.js'

for (const { path, text } of allDocuments()) {
  test(`every relative link in ${path} leads to a file and a heading that exist`, () => {
    const outsideCode = text.replaceAll(/^```[\s\S]*?^```$/gm, '')
    for (const [, target] of outsideCode.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [file, ...heading] = target.split('#')
      const linked = file === '' ? join(root, path) : join(root, dirname(path), file)
      assert.ok(existsSync(linked), `${target} does not exist`)
      for (const anchor of heading) assert.ok(anchors(linked).has(anchor), `${target}: no such heading`)
    }
  })
}

/** Headings as GitHub names them in links. */
function anchors(file: string): Set<string> {
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)
  return new Set(
    [...headings].map(([, heading]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}
