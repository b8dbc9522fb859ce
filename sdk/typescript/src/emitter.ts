type Listener<T> = (value: T) => void;

/** Who listens to what, by name. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Call `listener` at each; the answer ends that. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const found = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, found.add(listener));
    return () => {
      this.off(name, listener);
    };
  }

  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    const found = this.#listeners.get(name);
    found?.delete(listener);
    if (found?.size === 0) this.#listeners.delete(name);
  }

  clear(): void {
    this.#listeners.clear();
  }

  /** Whether anybody listens, to this or to anything. */
  has(name?: keyof Events): boolean {
    return name === undefined ? this.#listeners.size > 0 : this.#listeners.has(name);
  }

  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as Listener<Events[Name]>)(value);
      } catch (error) {
        // A listener's own mistake is nobody else's: it is shown where unhandled errors are.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
