from explore import *
import gc; gc.disable()
def cyc(**kw):
    b={n:kw.pop(n) for n in list(kw) if n in faults.NAMES}
    e=Exploration(Model(budget=b,**kw)).run()
    n=len(e.worlds); indeg=[0]*n; nxt=[[] for _ in range(n)]
    for a,c in zip(e.edges_from,e.edges_to): nxt[a].append(c); indeg[c]+=1
    q=[i for i in range(n) if indeg[i]==0]; seen=0
    while q:
        x=q.pop(); seen+=1
        for y in nxt[x]:
            indeg[y]-=1
            if indeg[y]==0: q.append(y)
    sinks=[i for i in range(n) if not nxt[i]]
    bad=[i for i in sinks if not promises.is_end(e.worlds[i]) and i not in e.windows]
    print(kw,b,n,'acyclic' if seen==n else 'on or behind cycles %d'%(n-seen),'sinks',len(sinks),'bad',len(bad), e.violation and e.violation[0])
    if seen<n:
        # find a cycle
        start=next(i for i in range(n) if indeg[i]>0)
        path=[start]; pos={start:0}
        prevs=[[] for _ in range(n)]
        for a,c in zip(e.edges_from,e.edges_to):
            if indeg[a]>0 and indeg[c]>0: prevs[c].append(a)
        x=start
        while True:
            x=prevs[x][0]
            if x in pos: break
            pos[x]=len(path); path.append(x)
        cyc=path[pos[x]:]+[x]
        for a,c in list(zip(cyc,cyc[1:]))[::-1]:
            for l,w in steps(e.model,e.worlds[c]):
                if w==e.worlds[a]: print('    ',words(l)); break
cyc(stops=1,rebalances=1); cyc(kills=1,is_process=True); cyc(flushes=1,rebalances=1); cyc(cuts=1,is_process=True,has_reaper=True); cyc(is_never=True,kills=1,stops=1,has_reaper=True); cyc(copy='expired',stops=1); cyc(drains=1,hops=1); cyc(creates=1,cancels=1); cyc(outages=1)
