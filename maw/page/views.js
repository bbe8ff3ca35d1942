// The views beside the channels, in the order of the side. `open`: also for whoever reads without a token.

export const VIEWS = [];
