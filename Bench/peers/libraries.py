"""The libraries that are measured: how each builds, which settings it sweeps, how it is asked.

Settings are those that each library's users start from, made alike where they mean the same: graphs have M=16 (at most
32 links on the ground layer; Vamana's degree 32) and a construction breadth of 200. Cosine is inner product on rows and
queries of length 1 for all of them. `walks` tells whether one call with many queries still answers them one after the
other: then that call is timed; where a library shares work between the queries of a batch, single calls are timed, as a
node that answers one user has no batch.
"""
import os
import tempfile

import numpy

BREADTHS = [10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048]
M, CONSTRUCTION = 16, 200


class Library:
    walks = True

    def __init__(self, rows, metric, threads):
        self.rows, self.metric, self.threads = rows, metric, threads
        self.l2 = metric == "l2"

    def settings(self, k):
        """Groups of settings, the cheap ones first; a group ends where more effort finds no more."""
        return [[{"ef": ef}] for ef in BREADTHS if ef >= k]

    def single(self, query, k):
        """One query of shape [1, d]."""
        return self.batch(query, k)

    def saved_bytes(self):
        """Bytes of the index in a file, with the vectors that it holds."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)


class Exact(Library):
    """A full scan by numpy, one matrix-vector product and one partition per query: the floor, and the truth's maker."""
    walks = False

    def build(self):
        self.version = numpy.__version__
        self.squares = (self.rows ** 2).sum(1) if self.l2 else None

    def settings(self, k):
        return [[{}]]

    def apply(self, setting):
        pass

    def batch(self, queries, k):
        score = self.rows @ queries[0]
        if self.l2:
            score = 2 * score - self.squares
        return numpy.argpartition(score, -k)[None, -k:]

    def saved_bytes(self):
        return self.rows.nbytes


class Hnswlib(Library):
    def build(self):
        import hnswlib
        self.version = "0.8.0"
        self.index = hnswlib.Index(space="l2" if self.l2 else "ip", dim=self.rows.shape[1])
        self.index.init_index(len(self.rows), M=M, ef_construction=CONSTRUCTION, random_seed=100)
        self.index.add_items(self.rows, num_threads=self.threads)

    def apply(self, setting):
        self.index.set_ef(setting["ef"])

    def batch(self, queries, k):
        return self.index.knn_query(queries, k=k, num_threads=1)[0]

    def saved_bytes(self):
        return self.index.index_file_size()


class Faiss(Library):
    def build(self):
        import faiss
        self.faiss, self.version = faiss, f"{faiss.__version__} ({faiss.get_compile_options().strip()})"
        faiss.omp_set_num_threads(self.threads)
        self.index = self.make(self.rows.shape[1], faiss.METRIC_L2 if self.l2 else faiss.METRIC_INNER_PRODUCT)
        if not self.index.is_trained:
            self.index.train(self.rows)
        self.index.add(self.rows)
        faiss.omp_set_num_threads(1)

    def apply(self, setting):
        self.index.hnsw.efSearch = setting["ef"]

    def batch(self, queries, k):
        return self.index.search(queries, k)[1]

    def saved_bytes(self):
        return int(self.faiss.serialize_index(self.index).nbytes)


class FaissHNSW(Faiss):
    def make(self, d, metric):
        index = self.faiss.IndexHNSWFlat(d, M, metric)
        index.hnsw.efConstruction = CONSTRUCTION
        return index


class FaissSQ8(Faiss):
    """Vectors of 8 bits a value and no second look at the originals: its recall has a ceiling."""

    def make(self, d, metric):
        index = self.faiss.IndexHNSWSQ(d, self.faiss.ScalarQuantizer.QT_8bit, M, metric)
        index.hnsw.efConstruction = CONSTRUCTION
        return index


class FaissIVFPQ(Faiss):
    """Inverted lists of 4-bit product codes scanned from registers, the best of them scored again with Float32."""
    walks = False

    def make(self, d, metric):
        self.lists = min(1024 if len(self.rows) <= 200_000 else 4096, len(self.rows) // 39)
        self.recipe = f"IVF{self.lists},PQ{d // 2 if d <= 128 else d // 4}x4fs,RFlat"
        return self.faiss.index_factory(d, self.recipe, metric)

    def settings(self, k):
        factors = [1, 2, 4, 8, 16, 48, 100] if k <= 20 else [1, 2, 4, 8, 16]
        probes = [n for n in (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512) if n <= self.lists]
        return [[{"nprobe": probe, "k_factor_rf": factor} for factor in factors] for probe in probes]

    def apply(self, setting):
        self.faiss.ParameterSpace().set_index_parameters(self.index, ",".join(f"{k}={v}" for k, v in setting.items()))


class Usearch(Library):
    kind = "f32"

    def build(self):
        import usearch
        from usearch.index import Index
        self.index = Index(ndim=self.rows.shape[1], metric="l2sq" if self.l2 else "ip", dtype=self.kind, connectivity=M,
                           expansion_add=CONSTRUCTION)
        self.version = f"{usearch.__version__} ({self.index.hardware_acceleration})"
        self.index.add(numpy.arange(len(self.rows), dtype="u8"), self.rows, threads=self.threads)

    def apply(self, setting):
        self.index.expansion_search = setting["ef"]

    def batch(self, queries, k):
        return self.index.search(queries, k, threads=1).keys

    def single(self, query, k):
        return self.index.search(query[0], k, threads=1).keys[None]

    def saved_bytes(self):
        return int(self.index.serialized_length)


class UsearchF16(Usearch):
    kind = "f16"


class Svs(Library):
    """Vamana on Float16 rows. SVS's own quantisers (LVQ, LeanVec) run on Intel's processors only."""

    def build(self):
        import svs
        self.version = svs.library_version()
        parameters = svs.VamanaBuildParameters(
            alpha=1.2 if self.l2 else 0.95, graph_max_degree=2 * M, window_size=CONSTRUCTION)
        distance = svs.DistanceType.L2 if self.l2 else svs.DistanceType.MIP
        self.index = svs.Vamana.build(parameters, self.rows.astype("f2"), distance, num_threads=self.threads)
        self.index.num_threads = 1

    def apply(self, setting):
        self.index.search_window_size = setting["ef"]

    def batch(self, queries, k):
        return self.index.search(queries, k)[0]

    def save(self, folder):
        self.index.save(*(os.path.join(folder, part) for part in ("configuration", "graph", "rows")))


class Scann(Library):
    """A tree of leaves with anisotropic codes, the best scored again. Its quality differs from build to build with the
    same settings: measure several (--builds 3)."""
    walks = False

    def build(self):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import importlib.metadata
        from scann.scann_ops.py import scann_ops_pybind
        self.version = importlib.metadata.version("scann")
        self.leaves = min(600 if len(self.rows) <= 200_000 else 2000, len(self.rows) // 20)
        builder = scann_ops_pybind.builder(self.rows, 10, "squared_l2" if self.l2 else "dot_product")
        builder.tree(num_leaves=self.leaves, num_leaves_to_search=50, training_sample_size=min(len(self.rows), 200_000))
        builder.score_ah(2, anisotropic_quantization_threshold=float("nan") if self.l2 else 0.2).reorder(100)
        builder.set_n_training_threads(self.threads)
        self.index = builder.build()
        self.recipe = f"tree {self.leaves}, score_ah 2, reorder"

    def settings(self, k):
        again = [30, 60, 120, 250, 500, 1000, 2000, 4000] if k <= 20 else [100, 150, 300, 600, 1200, 2400, 4800]
        leaves = [n for n in (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 600, 1000, 2000) if n <= self.leaves]
        return [[{"leaves": count, "reorder": first} for first in again if first >= k] for count in leaves]

    def apply(self, setting):
        self.setting = setting

    def single(self, query, k):
        found = self.index.search(query[0], final_num_neighbors=k, pre_reorder_num_neighbors=self.setting["reorder"],
                                  leaves_to_search=self.setting["leaves"])[0]
        if len(found) < k:
            found = numpy.pad(found.astype("i8"), (0, k - len(found)), constant_values=-1)
        return found[None]

    def save(self, folder):
        self.index.serialize(folder)


LIBRARIES = {"exact": Exact, "hnswlib": Hnswlib, "faiss_hnsw": FaissHNSW, "faiss_sq8": FaissSQ8, "faiss_ivfpq": FaissIVFPQ,
             "usearch": Usearch, "usearch_f16": UsearchF16, "svs": Svs, "scann": Scann}
