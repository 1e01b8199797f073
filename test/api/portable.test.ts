/** The tests of this folder once more, on real files under the portable executor, also where they ask for `:memory:`. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('.', import.meta.url))
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts') && name !== 'portable.test.ts')
  .map((name) => join(folder, name))

test('every test of the public interface passes with the portable executor', async (t) => {
  const parameters = ['--import', 'tsx', '--test', '--test-reporter=tap', '--test-concurrency=1', ...files]
  // A test runner inside a test would report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env
  const child = spawn(process.execPath, parameters, {
    env: { ...environment, DAXKV_TEST_EXECUTOR: 'portable' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [status] = (await once(child, 'close')) as [number | null]
  const passed = Number(/^# pass (\d+)$/m.exec(output)?.[1])
  assert.equal(status, 0, output)
  assert.ok(passed > 50, `${passed} tests`)
  t.diagnostic(`${passed} tests passed, ${/^# skipped (\d+)$/m.exec(output)?.[1] ?? '?'} skipped`)
})
