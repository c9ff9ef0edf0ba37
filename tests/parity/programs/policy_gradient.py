"""PPO and a soft actor-critic update on a toy environment: distributions, generalized advantages, clipping, tanh-squashed actions, target networks."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical, Independent, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import AffineTransform, TanhTransform

torch.manual_seed(7)


class Env:
    def __init__(self):
        self.s, self.t = torch.zeros(3), 0

    def reset(self):
        self.s, self.t = torch.linspace(-1, 1, 3), 0
        return self.s

    def step(self, a):
        self.s = (self.s * 0.9 + torch.tensor([0.1, -0.2, 0.3]) * (a - 1)).clamp(-2, 2)
        self.t += 1
        return self.s, -float(self.s.pow(2).sum()), self.t >= 8


def layer_init(layer, std=2 ** 0.5, bias=0.0):
    nn.init.orthogonal_(layer.weight, std)
    nn.init.constant_(layer.bias, bias)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(layer_init(nn.Linear(3, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0))
        self.actor = nn.Sequential(layer_init(nn.Linear(3, 16)), nn.Tanh(), layer_init(nn.Linear(16, 3), std=0.01))

    def act(self, x, action=None):
        probs = Categorical(logits=self.actor(x))
        action = probs.sample() if action is None else action
        return action, probs.log_prob(action), probs.entropy(), self.critic(x).squeeze(-1)


agent, env = Agent(), Env()
opt = torch.optim.Adam(agent.parameters(), lr=3e-3, eps=1e-5)
for update in range(3):
    obs, acts, logps, rews, dones, vals = [], [], [], [], [], []
    s, done = env.reset(), False
    for _ in range(16):
        with torch.no_grad():
            a, lp, _, v = agent.act(s)
        obs.append(s); acts.append(a); logps.append(lp); vals.append(v)
        s, r, done = env.step(a.item())
        rews.append(r); dones.append(float(done))
        if done:
            s = env.reset()
    obs, acts, logps, vals = (torch.stack(t) for t in (obs, acts, logps, vals))
    rews, dones = torch.tensor(rews), torch.tensor(dones)
    with torch.no_grad():
        adv, last, nxt = torch.zeros_like(rews), 0.0, agent.critic(s)[0]
        for t in reversed(range(16)):
            delta = rews[t] + 0.99 * nxt * (1 - dones[t]) - vals[t]
            adv[t] = last = delta + 0.99 * 0.95 * (1 - dones[t]) * last
            nxt = vals[t]
        returns = adv + vals
    for epoch in range(2):
        for at in torch.randperm(16).split(8):
            _, lp, ent, v = agent.act(obs[at], acts[at])
            ratio = (lp - logps[at]).exp()
            a = (adv[at] - adv[at].mean()) / (adv[at].std() + 1e-8)
            pg = torch.max(-a * ratio, -a * torch.clamp(ratio, 0.8, 1.2)).mean()
            clipped = vals[at] + torch.clamp(v - vals[at], -0.2, 0.2)
            vl = 0.5 * torch.max((v - returns[at]) ** 2, (clipped - returns[at]) ** 2).mean()
            loss = pg - 0.01 * ent.mean() + vl * 0.5
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            opt.step()
    var = returns.var()
    print(update, f"{loss.item():.4f} {ent.mean().item():.4f} {((ratio - 1) - ratio.log()).mean().item():.6f} {(1 - (returns - vals).var() / var).item():.4f}", acts.bincount(minlength=3).tolist())
old, new = Categorical(logits=torch.zeros(3)), Categorical(logits=agent.actor(obs[:2]).detach())
print(kl_divergence(new, Categorical(torch.ones(2, 3))), new, old.perplexity())
pi, q = nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
target = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
target.load_state_dict(q.state_dict())
log_alpha = torch.zeros(1, requires_grad=True)
opts = [torch.optim.Adam(ps, 1e-2) for ps in (pi.parameters(), q.parameters(), [log_alpha])]
for step in range(4):
    mean, log_std = pi(obs).chunk(2, -1)
    dist = TransformedDistribution(Independent(Normal(mean, log_std.clamp(-5, 2).exp()), 1), [TanhTransform(cache_size=1), AffineTransform(0.5, 2.0, cache_size=1, event_dim=1)])
    a = dist.rsample()
    logp = dist.log_prob(a)
    with torch.no_grad():
        y = rews + 0.9 * (target(torch.cat([obs, a], -1)).squeeze(-1) - log_alpha.exp() * logp)
    q_loss = F.smooth_l1_loss(q(torch.cat([obs, a.detach()], -1)).squeeze(-1), y)
    pi_loss = (log_alpha.exp().detach() * logp - q(torch.cat([obs, a], -1)).squeeze(-1)).mean()
    alpha_loss = -(log_alpha * (logp.detach() - 2)).mean()
    for o, l in zip(opts, (pi_loss, q_loss, alpha_loss)):
        o.zero_grad()
        l.backward(retain_graph=True)
        o.step() if l is not pi_loss else None
    opts[0].zero_grad(); 
    with torch.no_grad():
        for p, tp in zip(q.parameters(), target.parameters()):
            tp.data.mul_(0.995)
            torch.add(tp.data, p.data, alpha=0.005, out=tp.data)
    print(step, *(f"{l.item():.4f}" for l in (q_loss, pi_loss, alpha_loss, log_alpha)), dist.batch_shape, dist.event_shape)
