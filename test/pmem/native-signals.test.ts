import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

const SOURCE = new URL('native-signals.c', import.meta.url).pathname
const COMPILER = process.env['CC'] ?? 'cc'
const skip = spawnSync(COMPILER, ['--version']).status === 0 ? false : 'no C compiler'

test('a machine check that interrupts the taking of a fault is noted, not waited for', { skip }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-signals-'))
  try {
    const program = path.join(folder, 'signals')
    const arguments_ = ['-std=c11', '-D_GNU_SOURCE', '-fno-builtin', '-pthread', '-o', program, SOURCE]
    const compiled = spawnSync(COMPILER, arguments_)
    assert.equal(compiled.status, 0, compiled.stderr.toString())
    const run = spawnSync(program, { timeout: 10_000 })
    assert.equal(run.status, 0, `ended by ${String(run.signal)}: ${run.stderr.toString()}`)
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})
