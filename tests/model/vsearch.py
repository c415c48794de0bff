import sys, itertools, dataclasses, gc, time
from explore import *
gc.disable()
jobs=[dict(),dict(is_process=True),dict(is_never=True),dict(is_process=True,is_never=True),dict(copy='expired'),dict(is_process=True,has_reaper=True)]
def search(rule):
    rules=dataclasses.replace(DESIGN,**{r:False for r in rule.split('+')})
    t0=time.time()
    for n in (0,1,2):
        best=None
        for c in itertools.combinations_with_replacement(faults.NAMES,n):
            for j in jobs:
                b={}
                for f in c:b[f]=b.get(f,0)+1
                try: e=Exploration(Model(rules=rules,budget=b,**j)).run()
                except Exception as x: print("ERR",rule,c,j,repr(x),flush=True); continue
                if e.violation and (best is None or len(e.worlds)<best[0]): best=(len(e.worlds),c,j,e.violation)
            if n==2 and best and time.time()-t0>100: break
            if time.time()-t0>240: break
        if best: return best
    return None
from multiprocessing import Pool
names=sys.argv[1:] or [f.name for f in dataclasses.fields(Rules)]
with Pool(2) as p:
    for name,b in zip(names,p.imap(search,names)):
        if not b: print(name,'NOT FOUND'); continue
        print(name,b[0],b[1],b[2],b[3][0])
        for l in b[3][1]: print('     ',words(l))
        sys.stdout.flush()
