"""The console's pages: what a person sees in a browser, rendered here, with no foreign origin."""
