/** The first five minutes: a pool, a keyspace, reads, ranges, a transaction, and finding it all again. */
import assert from 'node:assert/strict'
import { open } from 'daxkv'
import { poolPath } from './support/pool-path.js'

interface User {
  name: string
  born: number
  languages: string[]
}

const path = poolPath('quick-start')

{
  using store = open(path) // creates the pool, or recovers it, or explains why it cannot
  console.log(
    `a commit is durable by: ${store.persistence.flushInstruction} (granularity ${store.persistence.granularity})`,
  )

  const users = store.keyspace<string, User>('users')
  const byBirth = store.keyspace<[number, string], null>('users-by-birth')

  // Durable when it returns.
  users.put('ada', { name: 'Ada Lovelace', born: 1815, languages: ['note G'] })

  // Several keyspaces change together or not at all.
  store.transaction(() => {
    users.put('grace', { name: 'Grace Hopper', born: 1906, languages: ['FLOW-MATIC', 'COBOL'] })
    users.put('barbara', { name: 'Barbara Liskov', born: 1939, languages: ['CLU', 'Argus'] })
    for (const [id, { born }] of users) byBirth.put([born, id], null)
  })

  // An exception takes everything back.
  assert.throws(() => {
    store.transaction(() => {
      users.delete('ada')
      throw new Error('changed my mind')
    })
  }, /changed my mind/)
  assert.ok(users.has('ada'))

  // One user is changed in one step.
  users.update('ada', (ada) => ada && { ...ada, languages: [...ada.languages, 'Analytical Engine'] })
}

{
  using store = open(path, { readOnly: true })
  const users = store.keyspace<string, User>('users')
  const byBirth = store.keyspace<[number, string], null>('users-by-birth')

  assert.deepEqual(users.get('ada')?.languages, ['note G', 'Analytical Engine'])
  assert.equal(users.get('alan'), undefined)
  assert.deepEqual([...users.keys()], ['ada', 'barbara', 'grace'])

  // Keys are typed and ordered: everybody born in the 20th century, youngest first.
  const recent = [...byBirth.keys({ gte: [1900, ''], lt: [2000, ''], reverse: true })].map(
    ([born, id]) => `${id} ${born}`,
  )
  assert.deepEqual(recent, ['barbara 1939', 'grace 1906'])
  console.log(`born in the 20th century: ${recent.join(', ')}`)
}
