import { Tree } from '../src/tree/tree.js'
import { TreePool } from '../test/support/tree-pool.js'
const N = Number(process.argv[2] ?? 1000000), mode = process.argv[3] ?? 'hot', reps = Number(process.argv[4] ?? 3)
const pool = new TreePool(Math.ceil(N*230/4096)+4096)
const tree = new Tree(pool, Tree.create(pool, 1), 1)
const key = Buffer.alloc(64), value = Buffer.alloc(100, 97)
const cpu = () => { const u = process.cpuUsage(); return (u.user+u.system)*1000 }
const keys = Buffer.alloc(N*16)
for (let i=0;i<N;i++) keys.latin1Write(String(i).padStart(16,'0'), i*16)
const order = new Uint32Array(N); for (let i=0;i<N;i++) order[i]=i
for (let i=N-1;i>0;i--) { const j = Math.floor(Math.random()*(i+1)); const t=order[i]; order[i]=order[j]; order[j]=t }
const set = (i: number) => { const f=i*16; for (let j=0;j<16;j++) key[j]=keys[f+j] }
const random = mode.startsWith('r')
let t = cpu()
for (let i=0;i<N;i++) { set(random ? order[i] : i); tree.put(key,16,value); if (i%1000===999) pool.commit(false) }
pool.commit(false)
console.log('load incl commit', ((cpu()-t)/N).toFixed(0))
for (let r=0;r<reps;r++) {
  t = cpu(); const M = Math.min(N, 500000)
  for (let i=0;i<M;i++) { set(order[i%1000]); if (!tree.find(key,16)) throw 1 }
  const hot = (cpu()-t)/M
  t = cpu()
  for (let i=0;i<M;i++) { set(order[i]); if (!tree.find(key,16)) throw 1 }
  console.log('hot', hot.toFixed(0), 'random', ((cpu()-t)/M).toFixed(0))
}
