"""The losses as their papers print them: loops over images, pairs and proxies, in float64.

Written with torch's scalars, so that gradients can be compared too.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def unit(vector: Tensor) -> Tensor:
    return vector / vector.pow(2).sum().sqrt()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (unit(a) * unit(b)).sum()


def distance(a: Tensor, b: Tensor) -> Tensor:
    return (unit(a) - unit(b)).pow(2).sum().sqrt()


def total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)


def mean(terms: list[Tensor]) -> Tensor:
    return total(terms) / max(len(terms), 1)


def positives(anchor: int, labels: list[int]) -> list[int]:
    return [i for i in range(len(labels)) if i != anchor and labels[i] == labels[anchor]]


def negatives(anchor: int, labels: list[int]) -> list[int]:
    return [i for i in range(len(labels)) if labels[i] != labels[anchor]]


def softmax_loss(logits: list[Tensor], label: int) -> Tensor:
    return -torch.log(torch.exp(logits[label]) / total([torch.exp(logit) for logit in logits]))


def norm_softmax(x: Tensor, labels: list[int], weights: Tensor, temperature: float) -> Tensor:
    """weights: float64[classes, d]."""
    return mean(
        [
            softmax_loss([cosine(x[i], w) / temperature for w in weights], label)
            for i, label in enumerate(labels)
        ]
    )


def proxy_nca_pp(x: Tensor, labels: list[int], proxies: Tensor, temperature: float) -> Tensor:
    """Over all proxies, the own one too; squared distances of unit vectors."""
    return mean(
        [
            softmax_loss([-distance(x[i], p).pow(2) / temperature for p in proxies], label)
            for i, label in enumerate(labels)
        ]
    )


def proxy_anchor(x: Tensor, labels: list[int], proxies: Tensor, alpha: float, delta: float) -> Tensor:
    pulls, pushes = [], []
    for c, proxy in enumerate(proxies):
        own = [i for i, label in enumerate(labels) if label == c]
        others = [i for i, label in enumerate(labels) if label != c]
        if own:
            pulls.append(
                torch.log(1 + total([torch.exp(-alpha * (cosine(x[i], proxy) - delta)) for i in own]))
            )
        pushes.append(
            torch.log(1 + total([torch.exp(alpha * (cosine(x[i], proxy) + delta)) for i in others]))
        )
    return mean(pulls) + mean(pushes)


def soft_triple(
    x: Tensor, labels: list[int], centres: Tensor, la: float, gamma: float, delta: float, tau: float
) -> Tensor:
    """centres: float64[classes, K, d]."""
    classes, K, _ = centres.shape
    losses = []
    for i, label in enumerate(labels):
        relaxed = []
        for c in range(classes):
            cosines = [cosine(x[i], centres[c, k]) for k in range(K)]
            weights = [torch.exp(value / gamma) for value in cosines]
            relaxed.append(total([w * v for w, v in zip(weights, cosines, strict=True)]) / total(weights))
        logits = [la * (value - (delta if c == label else 0.0)) for c, value in enumerate(relaxed)]
        losses.append(softmax_loss(logits, label))
    spread = [
        (2 - 2 * cosine(centres[c, a], centres[c, b])).sqrt()
        for c in range(classes)
        for a, b in itertools.combinations(range(K), 2)
    ]
    return mean(losses) + tau * total(spread) / (classes * K * (K - 1))


def multi_similarity(
    x: Tensor, labels: list[int], alpha: float, beta: float, thresh: float, epsilon: float
) -> Tensor:
    losses = []
    for i in range(len(labels)):
        pos = [cosine(x[i], x[j]) for j in positives(i, labels)]
        neg = [cosine(x[i], x[j]) for j in negatives(i, labels)]
        if not pos or not neg:
            continue
        hard_neg = [s for s in neg if s > min(pos) - epsilon]
        hard_pos = [s for s in pos if s < max(neg) + epsilon]
        losses.append(
            torch.log(1 + total([torch.exp(-alpha * (s - thresh)) for s in hard_pos])) / alpha
            + torch.log(1 + total([torch.exp(beta * (s - thresh)) for s in hard_neg])) / beta
        )
    return total(losses) / len(labels)


def margin(
    x: Tensor, labels: list[int], triplets: list[tuple[int, int, int]], alpha: float, betas: Tensor, nu: float
) -> Tensor:
    """The loss of given triplets; betas: float64[classes]. Divided by the pairs that cost something."""
    terms, pairs = [], 0
    for a, p, n in triplets:
        beta = betas[labels[a]]
        for term in (alpha + distance(x[a], x[p]) - beta, alpha + beta - distance(x[a], x[n])):
            if term > 0:
                terms.append(term)
                pairs += 1
        terms.append(nu * beta)
    return total(terms) / pairs


def triplet(x: Tensor, labels: list[int], alpha: float) -> Tensor:
    """Mean over all semi-hard triplets."""
    terms = []
    for a in range(len(labels)):
        for p, n in itertools.product(positives(a, labels), negatives(a, labels)):
            near, far = distance(x[a], x[p]).pow(2), distance(x[a], x[n]).pow(2)
            if near < far < near + alpha:
                terms.append(near - far + alpha)
    return mean(terms)


def contrastive(x: Tensor, labels: list[int], pos_margin: float, neg_margin: float) -> Tensor:
    pulls, pushes = [], []
    for a, b in itertools.permutations(range(len(labels)), 2):
        gap = distance(x[a], x[b])
        if labels[a] == labels[b] and gap > pos_margin:
            pulls.append((gap - pos_margin).pow(2))
        if labels[a] != labels[b] and gap < neg_margin:
            pushes.append((neg_margin - gap).pow(2))
    return mean(pulls) + mean(pushes)


def supcon(x: Tensor, labels: list[int], temperature: float) -> Tensor:
    """Khosla et al.'s L_out, the mean over the anchors that have a positive."""
    losses = []
    for i in range(len(labels)):
        own = positives(i, labels)
        if not own:
            continue
        others = [j for j in range(len(labels)) if j != i]
        partition = total([torch.exp(cosine(x[i], x[j]) / temperature) for j in others])
        losses.append(
            -mean([torch.log(torch.exp(cosine(x[i], x[j]) / temperature) / partition) for j in own])
        )
    return mean(losses)
