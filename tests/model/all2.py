from explore import *
import itertools, sys, io, contextlib, gc, time
from multiprocessing import Pool
gc.disable()
job=eval(sys.argv[1]); n=int(sys.argv[2]); off=[x for x in sys.argv[4:]]
import dataclasses
rules=dataclasses.replace(DESIGN,**{o:False for o in off})
LIMIT=int(sys.argv[3])
def one(fs):
    b={}
    for f in fs: b[f]=b.get(f,0)+1
    t=time.process_time()
    e=Exploration(Model(rules=rules,budget=b,**job))
    old=e.expand
    def expand(h):
        if len(e.worlds)>LIMIT: raise RuntimeError
        old(h)
    e.expand=expand
    try: e.run()
    except RuntimeError: return '+'.join(fs)+' LIMIT %.1f\n'%(time.process_time()-t)
    s='%s %d states %.1fs windows %d\n'%('+'.join(fs),len(e.worlds),time.process_time()-t,len(e.windows))
    if e.violation:
        s+='  VIOLATION '+e.violation[0]+'\n'
        for l in e.violation[1]: s+='      '+words(l)+'\n'
    return s
combos=list(itertools.combinations_with_replacement(faults.NAMES,n))
with Pool(2) as p:
    for r in p.imap(one,combos): print(r,end='',flush=True)
