"""What stands on the encoder of a ranker that reads one candidate at a time: a score, a unit vector, or a mixture.

Every head takes states [rows, marks, width], the encoder's at the places that the row marks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BALANCE = 1e-2
"""Weight of the mixture's auxiliary loss, as SummaReranker was trained."""


def pointwise_head(width: int, n_tasks: int, drop_out: float) -> nn.Sequential:
    """A score for each task, [rows, tasks], out of states [rows, 2, width], the source's and the candidate's.

    The pair ranker's head, so that the two differ in what the encoder reads and in nothing else.
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(drop_out),
        nn.Linear(2 * width, width),
        nn.Tanh(),
        nn.Dropout(drop_out),
        nn.Linear(width, n_tasks),
    )


class UnitHead(nn.Module):
    """The first state scaled to length 1, so that a dot product is a cosine: SimCLS (2106.01890, section 2.2)."""

    def forward(self, states: Tensor) -> Tensor:
        """Unit vectors, [rows, width], of states [rows, 1, width]."""
        exact = torch.promote_types(states.dtype, torch.float32)
        return functional.normalize(states[:, 0].to(exact), dim=-1)


class MixtureHead(nn.Module):
    """A logit for each task, by experts that the tasks share and a gate that each has to itself: SummaReranker.

    2203.06569, section 3: a shared bottom, 2 n experts for n tasks of which a task's gate takes the best n,
    and a tower a task. Gates are noisy in training (1701.06538, section 2.1). Experts are mixed as
    log sum_e gate_e exp(expert_e), which is computed without ever leaving the logarithm.
    """

    def __init__(self, width: int, n_tasks: int) -> None:
        super().__init__()
        self.bottom = _perceptron(width)
        self.experts = nn.ModuleList(_perceptron(width) for _ in range(2 * n_tasks))
        self.gates = nn.ModuleList(NoisyGate(width, 2 * n_tasks, n_tasks) for _ in range(n_tasks))
        self.towers = nn.ModuleList(nn.Linear(width, 1) for _ in range(n_tasks))
        self.auxiliary_loss = torch.zeros(())
        """Of the last forward in training: how unevenly the gates used the experts."""

    def forward(self, states: Tensor) -> Tensor:
        """Logits, [rows, tasks], of states [rows, 1, width]."""
        shared = self.bottom(states[:, 0])
        said = torch.stack([expert(shared) for expert in self.experts], dim=1)
        logits, uneven = [], shared.new_zeros(())
        for gate, tower in zip(self.gates, self.towers, strict=True):
            log_gates, load = gate(shared)
            logits.append(tower(torch.logsumexp(said + log_gates[..., None], dim=1)))
            if self.training:
                uneven = uneven + squared_variation(log_gates.exp().sum(0)) + squared_variation(load)
        self.auxiliary_loss = BALANCE * uneven
        return torch.cat(logits, dim=-1)


class NoisyGate(nn.Module):
    """Which experts a row goes to, and how much each counts: 1701.06538, equations 3 to 5."""

    def __init__(self, width: int, n_experts: int, k: int) -> None:
        super().__init__()
        self.k = k
        # Zeros, so that training begins with every expert as likely as the others (1701.06538, appendix A).
        self.clean = nn.Parameter(torch.zeros(width, n_experts))
        self.noise = nn.Parameter(torch.zeros(width, n_experts))

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """The gates' logarithms [rows, experts], minus infinity for experts left out, and each expert's load [experts].

        Noise is added in training alone; without it the load is the number of rows that an expert gets.
        """
        clean = shared @ self.clean
        if not self.training:
            log_gates = self._kept(clean)
            return log_gates, log_gates.isfinite().sum(0).to(shared.dtype)
        deviation = functional.softplus(shared @ self.noise) + 1e-2
        noisy = clean + torch.randn_like(clean) * deviation
        return self._kept(noisy), self._load(clean, noisy, deviation)

    def _kept(self, logits: Tensor) -> Tensor:
        """Softmax over the k greatest, in logarithms."""
        best, places = logits.topk(self.k, dim=-1)
        gates = best.log_softmax(-1)  # in float32 under autocast, whatever the logits are in
        return torch.full_like(logits, -torch.inf, dtype=gates.dtype).scatter(-1, places, gates)

    def _load(self, clean: Tensor, noisy: Tensor, deviation: Tensor) -> Tensor:
        """How many rows each expert would get, were its own noise drawn again: 1701.06538, appendix A."""
        best = noisy.topk(self.k + 1, dim=-1).values
        last_in, first_out = best[:, self.k - 1, None], best[:, self.k, None]
        # The k-th greatest of the *other* experts: for one that is in, that is the first one out.
        threshold = torch.where(noisy > first_out, first_out, last_in)
        load: Tensor = torch.special.ndtr((clean - threshold) / deviation).sum(0)
        return load


def squared_variation(amounts: Tensor) -> Tensor:
    """Squared coefficient of variation of positive amounts [n]: 0 where all are equal (1701.06538, equation 7)."""
    if len(amounts) < 2:
        return amounts.new_zeros(())
    return amounts.var() / (amounts.mean() ** 2 + 1e-10)


def _perceptron(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
