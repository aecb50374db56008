"""Tensor frames: any message passing network, made equivariant by local frames and tensors carried between them.

P. Lippmann, G. Gerhartz, R. Remme, F. A. Hamprecht, ICLR 2025, arXiv:2405.15389 ("the paper" below).
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError, choice
from painn_ase.graph import AtomicGraph
from painn_ase.nn.equivariant import symmetric_traceless
from painn_ase.nn.frames import Ranks, gram_schmidt, mirrored
from painn_ase.nn.layers import activation, linear, mlp
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation, check_sizes
from painn_ase.representations.painn import PaiNN, weight_and_bias
from painn_ase.representations.schnet import SchNet


class Surroundings:
    """What a network is told of the pairs in the frame of their centre, and of features at the other end.

    Networks know one copy of each atom. Here every pair has its own copy of its neighbour, which comes after the atoms:
    `graph` has these as neighbours, so a network's messages need not know of frames.
    """

    def __init__(self, graph: AtomicGraph, units: Tensor, frames: Tensor, ranks: Ranks) -> None:
        self.neighbors, self.n_atoms, self.ranks = graph.neighbors, graph.n_atoms, ranks
        at_centers = frames.index_select(0, graph.centers)
        self.between = at_centers @ frames.index_select(0, graph.neighbors).transpose(1, 2)  # R_i R_jᵀ
        self.directions = (at_centers @ units[:, :, None]).squeeze(-1)  # R_i r̂_ij, (pairs, 3)
        copies = torch.arange(graph.n_pairs, device=graph.neighbors.device) + graph.n_atoms
        self.graph = replace(graph, neighbors=copies)

    def with_copies(self, s: Tensor) -> Tensor:
        """Features (atoms, F), and after them those of each pair's neighbour in the frame of its centre, (pairs, F)."""
        return torch.cat([s, self.ranks.turned(s.index_select(0, self.neighbors), self.between)])


class FramedSchNet(SchNet):
    """SchNet whose filters also see directions, W(d, R_i r̂_ij) = MLP([φ(d), R_i r̂_ij]) fc(d)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        sizes = (self.radial.count + 3, self.features, self.features)
        self.filters = nn.ModuleList(mlp(sizes, self.config["activation"]) for _ in self.filters)

    def in_frames(self, graph: AtomicGraph, vectors: Tensor, frames: Tensor, ranks: Ranks) -> AtomFeatures:
        """Features of the atoms in local `frames` (atoms, 3, 3), whose components the scalars are."""
        distances = vectors.square().sum(-1).sqrt()  # (pairs,)
        near = Surroundings(graph, (vectors / distances[:, None]).to(frames), frames, ranks)
        distances = distances.to(frames)
        basis = torch.cat([self.radial(distances), near.directions], 1)  # (pairs, n + 3)
        envelope = self.cutoff_function(distances)[:, None]
        s = self.embedding(graph.numbers)
        interaction: Any
        for interaction, filters in zip(self.interactions, self.filters, strict=True):
            sums = interaction.convolution(near.with_copies(s), filters(basis) * envelope, near.graph)
            s = s + interaction.outputs(sums[: graph.n_atoms])
        return AtomFeatures(scalars=s)


class FramedPaiNN(PaiNN):
    """PaiNN whose filters also see directions, linear in φ(d) ⊗ (1, R_i r̂_ij); its vectors stay global."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.filters = nn.ModuleList(linear(4 * self.radial.count + 3, 3 * self.features) for _ in self.filters)

    def in_frames(self, graph: AtomicGraph, vectors: Tensor, frames: Tensor, ranks: Ranks) -> AtomFeatures:
        """Features of the atoms in local `frames` (atoms, 3, 3), whose components the scalars are."""
        basis, units = self.pairs(vectors)  # [φ fc, fc], (pairs, n + 1)
        near = Surroundings(graph, units, frames, ranks)
        directed = (basis[:, :, None] * near.directions[:, None, :]).flatten(1)
        basis = torch.cat([directed, basis], 1)  # (pairs, 4n + 4); the last column goes with the bias
        n = graph.n_atoms
        s: Tensor = self.embedding(graph.numbers)
        v: Tensor | None = None
        for filters, message, update in zip(self.filters, self.messages, self.updates, strict=True):
            seen = None if v is None else torch.cat([v, v.index_select(0, graph.neighbors)])
            s, v = message(near.with_copies(s), seen, basis @ weight_and_bias(filters), units, near.graph)
            s, v = update(s[:n], v[:n])
        return AtomFeatures(scalars=s, vectors=v)


NETWORKS: dict[str, type[FramedSchNet] | type[FramedPaiNN]] = {"schnet": FramedSchNet, "painn": FramedPaiNN}


class LocalFrames(nn.Module):
    """Frames from two learned sums of directions, v_k,i = Σ_j w_k(d_ij, z_i, z_j) fc(d_ij) r̂_ij.

    w = W σ(W_φ φ(d) + a_z_i + b_z_j), one hidden layer of F.
    """

    def __init__(self, features: int, radial: int, act: str, embeddings: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.radial = linear(radial, features)
        self.centers = nn.Embedding(embeddings, features)
        self.neighbors = nn.Embedding(embeddings, features)
        self.activate = activation(act)
        self.weights = linear(features, 2, bias=False)

    def forward(self, graph: AtomicGraph, basis: Tensor, envelope: Tensor, units: Tensor) -> Tensor:
        """Right-handed frames (atoms, 3, 3) from φ(d), (pairs, n), fc(d), (pairs, 1), and r̂_ij, (pairs, 3)."""
        of_centers = self.centers(graph.numbers).index_select(0, graph.centers)
        of_neighbors = self.neighbors(graph.numbers).index_select(0, graph.neighbors)
        w = self.weights(self.activate(self.radial(basis) + of_centers + of_neighbors)) * envelope  # (pairs, 2)
        pairs = w[:, :, None] * units[:, None, :]  # (pairs, 2, 3)
        sums = pairs.new_zeros(graph.n_atoms, 2, 3).index_add(0, graph.centers, pairs)
        return gram_schmidt(sums[:, 0], sums[:, 1], self.epsilon)


class TensorFrames(Representation):
    """Scalars (atoms, F) that are components in local frames, and vectors and tensors made of them.

    The F scalars of the network's atoms are read as `Ranks`, numbers and components of vectors and tensors, and turned
    from frame to frame when they are sent. The network runs in right-handed and in left-handed frames; the mean of both
    is equivariant under O(3), not only under rotations.

    network: "schnet" or "painn", with frames
    features: F
    interactions: T
    cutoff: in Å
    radial, cutoff_function: their kinds and options; the network's by default
    vector_channels, tensor_channels: numbers of vectors and tensors in the messages, a third of F by default; without
        any, messages are scalars, the paper's comparison
    output_rank: highest rank that heads find; 0 saves time when only energies and forces are wanted
    epsilon: under the roots that shorten the axes of frames, and in PaiNN
    activation: name of the activation function; the network's by default
    embeddings: rows of the table of elements
    """

    def __init__(
        self,
        network: str = "schnet",
        features: int = 64,
        interactions: int = 3,
        cutoff: float = 5.0,
        radial: dict[str, Any] | None = None,
        cutoff_function: dict[str, Any] | None = None,
        *,
        vector_channels: int | None = None,
        tensor_channels: int | None = None,
        output_rank: int = 2,
        epsilon: float = 0.05,
        activation: str | None = None,
        embeddings: int = N_ELEMENTS,
    ) -> None:
        shared: dict[str, Any] = {
            "features": features,
            "interactions": interactions,
            "cutoff": cutoff,
            "embeddings": embeddings,
        }
        given = {"radial": radial, "cutoff_function": cutoff_function, "activation": activation}
        shared |= {name: value for name, value in given.items() if value is not None}
        shared |= {"epsilon": epsilon} if network == "painn" else {}
        inner = NETWORKS[choice("TensorFrames network", network, NETWORKS)](**shared)
        vector_channels = features // 9 if vector_channels is None else vector_channels
        tensor_channels = features // 27 if tensor_channels is None else tensor_channels
        own = {"vector_channels": vector_channels, "tensor_channels": tensor_channels, "output_rank": output_rank}
        names = (*shared, *given)
        super().__init__({"network": network, "epsilon": epsilon, **{n: inner.config[n] for n in names}, **own})
        check_sizes(
            "TensorFrames", own, {"vector_channels": (0, 4096), "tensor_channels": (0, 4096), "output_rank": (0, 2)}
        )
        if not epsilon > 0:
            raise InputError(f"TensorFrames epsilon: expected a positive number; got {epsilon}")
        scalars = features - 3 * vector_channels - 9 * tensor_channels
        if scalars < 0:
            raise InputError(
                f"TensorFrames: expected 3 vector_channels + 9 tensor_channels <= features, {features}; "
                f"got {vector_channels} and {tensor_channels}"
            )
        self.ranks = Ranks(scalars, vector_channels, tensor_channels)
        self.max_rank = output_rank
        self.network = inner
        self.frames = LocalFrames(features, self.radial.count, self.config["activation"], embeddings, epsilon)
        outputs = (linear(features, 3**rank * features, bias=False) for rank in range(1, output_rank + 1))
        self.outputs = nn.ModuleList(outputs)  # local components of vectors, then of tensors

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.frames.weights.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)
        distances = distances.to(dtype)
        envelope = self.cutoff_function(distances)[:, None]
        frames = self.frames(graph, self.radial(distances), envelope, units)
        right, left = (self.of_hand(graph, vectors, hand) for hand in (frames, mirrored(frames)))
        means = {name: 0.5 * (value + getattr(left, name)) for name, value in vars(right).items() if value is not None}
        return AtomFeatures(**means)

    def of_hand(self, graph: AtomicGraph, vectors: Tensor, frames: Tensor) -> AtomFeatures:
        """The network's features in frames of one hand, and what is made of its local components: Rᵀ x and Rᵀ t R."""
        found = self.network.in_frames(graph, vectors, frames, self.ranks)
        v, t, back = found.vectors, None, frames.transpose(1, 2)
        if self.max_rank >= 1:
            local = back @ self.outputs[0](found.scalars).unflatten(1, (3, -1))  # (atoms, 3, F)
            v = local if v is None else v + local
        if self.max_rank >= 2:
            t = Ranks(0, 0, self.features).turned(self.outputs[1](found.scalars), back)
            t = symmetric_traceless(t.unflatten(1, (3, 3, -1)))  # (atoms, 3, 3, F)
        return AtomFeatures(scalars=found.scalars, vectors=v, tensors=t)
