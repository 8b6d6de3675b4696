import ArgumentParser

/// The tool's commands.
@main
struct MartletBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet-bench",
        abstract:
            "Puts a measured load on a Martlet node; measures its indexes, filters, re-ranking, live state and event log.",
        discussion: """
            Latency in an open loop (--rate) is counted from the moment at which a call was meant to be sent, so a
            node that stalls cannot hide it. Exit codes: 0 fine; 1 could not run, or not one call was
            answered well; 2 the objective (--slo) was missed, or no rate of --find-max held it; 3 the node was lost during the run and calls failed, and
            --slo does not say how many may (a search with --find-max always ends with it); 64 wrong options;
            130 Ctrl-C and 143 SIGTERM, after the report of what there is.
            """,
        subcommands: [
            LoadCommand.self, ClientCommand.self, IndexCommand.self, PlannerCommand.self, ChurnCommand.self,
            FiltersCommand.self,
            RerankingCommand.self, FoldInCommand.self, TreesCommand.self, NetworksCommand.self, RankingCommand.self,
            LiveStateCommand.self, LiveItemsCommand.self, CacheCommand.self, RedisCommand.self, LiveCommand.self,
            DurabilityCommand.self, RestartCommand.self, ReplayCommand.self, SimulateCommand.self,
            SelftestCommand.self,
        ],
        defaultSubcommand: LoadCommand.self)
}
