import sys, time, gc
from explore import *
def go(**kw):
    b={n:kw.pop(n) for n in list(kw) if n in faults.NAMES}
    rules=DESIGN
    off=[k for k in list(kw) if k.startswith('no_')]
    import dataclasses
    for k in off: kw.pop(k); rules=dataclasses.replace(rules,**{k[3:]:False})
    gc.disable()
    t=time.process_time(); e=Exploration(Model(rules=rules,budget=b,**kw)).run(); dt=time.process_time()-t
    print(kw,b,off,len(e.worlds),'states','%.1fs'%dt,'windows',len(e.windows))
    if e.violation:
        print('  VIOLATION',e.violation[0])
        for l in e.violation[1]: print('     ',words(l))
    sys.stdout.flush()
    return e
if __name__=='__main__':
    kw={}
    for a in sys.argv[1:]:
        k,v=a.split('=') if '=' in a else (a,'1')
        kw[k]=v if k=='copy' else int(v)
    go(**kw)
