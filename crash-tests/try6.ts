import { MUTANTS } from './src/mutants.js'
import { loadMutant } from './src/source-mutants.js'
import * as plain from './src/hunt.js'
await plain.ready
const only = process.argv[2]
const seeds = [1]
const t0 = performance.now()
if (only === 'base') {
  const base = plain.hunt({ seeds, steps: 17 })
  console.log('base', performance.now() - t0, base)
}
for (const m of MUTANTS) {
  if (only !== undefined && !m.name.includes(only)) continue
  const t = performance.now()
  let hunt: typeof plain
  try {
    hunt = m.patches === undefined ? plain : await loadMutant(m.name, m.patches)
  } catch (e) {
    console.log(m.name, 'LOAD', String(e).slice(0, 300))
    continue
  }
  const r = hunt.hunt({
    seeds,
    steps: 17,
    ...(m.commitFilter && { commitFilter: m.commitFilter }),
    ...(m.first && { first: m.first }),
    ...(m.recoveryFilter && { recoveryFilter: m.recoveryFilter }),
  })
  console.log(
    (performance.now() - t) | 0,
    m.name,
    m.equivalent ? '(equivalent)' : '',
    r.caught ? 'CAUGHT by ' + r.caught.by + ' -- ' + r.caught.message.slice(0, 160).replace(/\n/g, ' ') : 'SURVIVED',
    r.images,
  )
}
