//! What of a kind a bottleneck is: chooses the advice.

/// A sub-kind. Its word is in reports, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subkind {
    /// DRAM delivers as fast as it can.
    Bandwidth,
    /// A cache delivers as fast as it can.
    Cache,
    /// Single lines come from DRAM, and nothing else can go on meanwhile.
    Latency,
    /// The kernel hands out memory that is touched for the first time.
    FirstTouch,
    /// Lines go to and fro between cores that write them.
    Coherence,
    /// The vector units are near their peak.
    Vector,
    /// The arithmetic is slow enough for scalar code.
    Scalar,
    /// The arithmetic is faster than scalar code, and far below the peak of the vector units.
    Underused,
    /// Arithmetic on vectors whose data are near; how fast it is for it is not known.
    Arithmetic,
    /// Divisions and square roots.
    Divide,
    /// Branches.
    Branchy,
    /// The kernel copies data for a call.
    Copy,
    /// Waits for files: read, written, or mapped and not yet in memory.
    Disk,
    /// Waits until data are safe on the disk.
    Sync,
    /// Waits for a peer behind a socket.
    Network,
    /// Waits for another process behind a pipe or a Unix socket.
    Pipe,
    /// Waits for a child process to end.
    ChildProcess,
    /// Threads queue for a lock while a CPU idles.
    Lock,
    /// Threads wait at the end of a region for those whose part was larger.
    Imbalance,
    /// A thread that does the work waits for its input.
    StarvedQueue,
    /// Waits until some time has passed.
    Timer,
    /// Looks again and again, and sleeps in between.
    PollLoop,
    /// Waits on the CPU.
    Spin,
    /// Waits for the scheduler after what it waited for has come.
    Wakeup,
    /// Could run, and threads of the program that serve nobody had the CPUs.
    Oversubscribed,
    /// Could run, and the control group had used up its CPU time.
    Throttled,
    /// Could run, and other programs had the CPUs.
    Interference,
    /// The memory of a device delivers as fast as it can.
    DeviceBandwidth,
    /// The units of a device compute as fast as they can.
    DeviceArithmetic,
    /// Data travel between host and device.
    DeviceCopy,
    /// A device has nothing to do while the host does something else.
    StarvedByHost,
    /// Streams of a device wait for one another.
    StreamDependency,
    /// The default stream of a device and the others wait for each other.
    DefaultStream,
    /// The host waits for a device before it submits more.
    SyncDrain,
    /// Works of a device are shorter than what it takes to submit them.
    LaunchBound,
    /// Code is loaded onto a device.
    ModuleLoad,
    /// Time in the driver of a device, or a wait that may be for one, of which nothing was recorded.
    UnseenDevice,
    /// The author says so.
    Asserted,
}

impl Subkind {
    /// Every sub-kind.
    pub const ALL: [Self; 38] = [
        Self::Bandwidth,
        Self::Cache,
        Self::Latency,
        Self::FirstTouch,
        Self::Coherence,
        Self::Vector,
        Self::Scalar,
        Self::Underused,
        Self::Arithmetic,
        Self::Divide,
        Self::Branchy,
        Self::Copy,
        Self::Disk,
        Self::Sync,
        Self::Network,
        Self::Pipe,
        Self::ChildProcess,
        Self::Lock,
        Self::Imbalance,
        Self::StarvedQueue,
        Self::Timer,
        Self::PollLoop,
        Self::Spin,
        Self::Wakeup,
        Self::Oversubscribed,
        Self::Throttled,
        Self::Interference,
        Self::DeviceBandwidth,
        Self::DeviceArithmetic,
        Self::DeviceCopy,
        Self::StarvedByHost,
        Self::StreamDependency,
        Self::DefaultStream,
        Self::SyncDrain,
        Self::LaunchBound,
        Self::ModuleLoad,
        Self::UnseenDevice,
        Self::Asserted,
    ];

    /// The name in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::Cache => "cache",
            Self::Latency => "latency",
            Self::FirstTouch => "first-touch",
            Self::Coherence => "coherence",
            Self::Vector => "vector",
            Self::Scalar => "scalar",
            Self::Underused => "underused",
            Self::Arithmetic => "arithmetic",
            Self::Divide => "divide",
            Self::Branchy => "branchy",
            Self::Copy => "copy",
            Self::Disk => "disk",
            Self::Sync => "sync",
            Self::Network => "network",
            Self::Pipe => "pipe",
            Self::ChildProcess => "child process",
            Self::Lock => "lock",
            Self::Imbalance => "imbalance",
            Self::StarvedQueue => "starved queue",
            Self::Timer => "timer",
            Self::PollLoop => "poll loop",
            Self::Spin => "spin",
            Self::Wakeup => "wake-up",
            Self::Oversubscribed => "oversubscribed",
            Self::Throttled => "throttled",
            Self::Interference => "interference",
            Self::DeviceBandwidth => "device bandwidth",
            Self::DeviceArithmetic => "device arithmetic",
            Self::DeviceCopy => "host-device copy",
            Self::StarvedByHost => "starved by host",
            Self::StreamDependency => "stream dependency",
            Self::DefaultStream => "default stream",
            Self::SyncDrain => "sync drain",
            Self::LaunchBound => "launch-bound",
            Self::ModuleLoad => "module loading",
            Self::UnseenDevice => "unseen device",
            Self::Asserted => "asserted",
        }
    }
}
